"""Which part of two sets of bones may be compared.

Shafts end where an image ended, not where the bone does, and two sets rarely end at the
same place. Where no rig says what was seen (:func:`common_region`), the part evaluated is

1. within 80 mm of the joint along each axis of the frame, and
2. for femur, fibula and tibia, 2 mm short of the place where either surface is cut.

A reconstruction counts as cut only where it is open or has a flat cap; one that simply
stops too early is evaluated in full, and pays for what is missing.

Where a rig says what was seen (:func:`region_from_rig`), the reconstruction has no say in
what is evaluated: the part within 80 mm of the joint that both views see, as far as the
reference reaches. A reconstruction that is cut earlier pays for what is missing.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from SSRKDLib.core.messages import Message, joined
from SSRKDLib.geometry.views import Rig, axes_angle
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh

#: Bones that leave the image, and so may be cut at the end away from the joint.
SHAFTS: tuple[str, ...] = ("femur", "fibula", "tibia")

#: How far from the joint surfaces are evaluated, along each axis, mm.
REACH = 80.0

#: How far inside a cut the evaluated part ends, mm.
_MARGIN = 2.0


class Region(NamedTuple):
    """The evaluated part of one bone: ``box`` [2, 3] (lowest, highest corner, mm), ``note``,
    which says what made it smaller ("" otherwise), and ``planes`` [P, 4]: of a point p in the
    region, ``planes[:, :3] @ p >= planes[:, 3]`` (unit normals, mm)."""

    box: np.ndarray
    note: str = ""
    planes: np.ndarray = np.empty((0, 4))

    def clip(self, mesh: Mesh) -> Mesh:
        """The part of ``mesh`` in the region, cut and left open at its sides."""
        result = mesh.clipped(self.box)
        for plane in self.planes:
            if len(result.faces) and (result.vertices @ plane[:3]).min() < plane[3]:
                result = result.cut(plane[:3], plane[3])
        return result

    def sides(self) -> list[np.ndarray]:
        """All limits as planes [4], those of the box included."""
        limits = [np.append(axis, low) for axis, low in zip(np.eye(3), self.box[0])]
        limits += [np.append(-axis, -high) for axis, high in zip(np.eye(3), self.box[1])]
        return [*(side for side in limits if np.isfinite(side[3])), *self.planes]


def as_region(region: np.ndarray | Region | None) -> Region:
    """A box [2, 3] as a region; None is everywhere."""
    if isinstance(region, Region):
        return region
    if region is None:
        return Region(np.array([[-np.inf] * 3, [np.inf] * 3]))
    return Region(np.asarray(region, dtype=np.float64))


def common_region(recon: dict[str, Mesh], reference: dict[str, Mesh]) -> dict[str, Region]:
    """The evaluated part of every bone that both sets have (see the module's text).

    The joint is the reference's. Where the reference lacks femur or tibia there is no
    joint, and only cuts (at either end) limit what is evaluated. Both sets must be in one
    frame, in mm.
    """
    joint = _joint(reference)
    regions = {}
    for bone, truth in reference.items():
        if bone not in recon or not len(recon[bone].faces) or not len(truth.faces):
            continue
        box = _around(recon[bone], truth)
        if joint is not None:
            box[0] = np.maximum(box[0], joint - REACH)
            box[1] = np.minimum(box[1], joint + REACH)
        notes = []
        if bone in SHAFTS:
            axis, signs = _shaft(bone, reference, joint)
            for sign in signs:
                cuts = {
                    "reconstruction": _cut_at(recon[bone], axis, sign),
                    "reference": _end_of_reference(truth, axis, sign, joint),
                }
                notes.append(_shorten(box, cuts, axis, sign))
        regions[bone] = Region(box, joined(filter(None, notes)))
    return regions


def region_from_rig(
    recon: dict[str, Mesh], reference: dict[str, Mesh], rig: Rig
) -> dict[str, Region]:
    """The evaluated part of every bone that both sets have, from what the rig's views see.

    Both sets are in the rig's frame, mm. The reach is along the patient's axes, or along the
    leg where the rig is in a laboratory's frame and does not say how the patient lies. The
    reconstruction only bounds the box, and never makes the evaluated part smaller.
    """
    joint = _joint(reference)
    seen = seen_by(rig)
    regions = {}
    for bone, truth in reference.items():
        if bone not in recon or not len(recon[bone].faces) or not len(truth.faces):
            continue
        box = _around(recon[bone], truth)
        notes = [
            Message(
                "evaluated where both views see it, {margin:g} mm inside their edges",
                margin=_MARGIN,
            )
        ]
        planes = seen
        if joint is not None:
            planes = np.concatenate([seen, _within(joint, rig, reference)])
        _tighten(box, planes)
        if bone in SHAFTS:
            axis, signs = _shaft(bone, reference, joint)
            for sign in signs:
                cuts = {"reference": _end_of_reference(truth, axis, sign, joint)}
                notes.append(_shorten(box, cuts, axis, sign))
        regions[bone] = Region(box, joined(filter(None, notes)), planes)
    return regions


def _joint(reference: dict[str, Mesh]) -> np.ndarray | None:
    """The joint's centre, ``(3,)`` mm; None where the reference lacks femur or tibia."""
    whole = all(bone in reference and len(reference[bone].faces) for bone in ("femur", "tibia"))
    return joint_centre(reference) if whole else None


def seen_by(rig: Rig, margin: float = _MARGIN) -> np.ndarray:
    """The polyhedron that both views see, as planes [8, 4] (see :class:`Region`).

    Four sides of what each source's rays through the edges of its image enclose, ``margin`` mm
    inside. Of more than two views, the two that are reconstructed from: the most nearly
    perpendicular ones. What a collimator hid is not known to the rig.
    """
    pair = max(combinations(rig.views, 2), key=lambda two: axes_angle(two[0].axis, two[1].axis))
    planes = []
    for view in pair:
        right, bottom = view.size[0] - 0.5, view.size[1] - 0.5
        corners = np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])
        ends = view.points_on_detector(corners)
        for end, other, ray in zip(ends, np.roll(ends, -1, axis=0), view.rays(corners)):
            normal = np.cross(ray, other - end)
            normal *= np.sign(normal @ (view.detector_centre - end)) / np.linalg.norm(normal)
            planes.append([*normal, normal @ end + margin])
    return np.array(planes)


def _within(joint: np.ndarray, rig: Rig, reference: dict[str, Mesh]) -> np.ndarray:
    """Planes [P, 4] at :data:`REACH` mm from the joint."""
    if rig.patient_to_rig is not None:
        axes = rig.patient_to_rig[:3, :3].T
    elif rig.frame == "LPS":
        axes = np.eye(3)
    else:
        ends = [reference[bone].corners().mean(axis=(0, 1)) for bone in ("femur", "tibia")]
        axes = (ends[0] - ends[1])[None] / np.linalg.norm(ends[0] - ends[1])
    axes = np.concatenate([axes, -axes])
    return np.column_stack([axes, axes @ joint - REACH])


def _tighten(box: np.ndarray, planes: np.ndarray) -> None:
    """Move sides of ``box`` (in place) to planes that are parallel to them."""
    for *normal, offset in planes:
        axis = int(np.argmax(np.abs(normal)))
        if abs(normal[axis]) > 1 - 1e-9:
            place = normal[axis] * offset
            if normal[axis] > 0:
                box[0, axis] = max(box[0, axis], place)
            else:
                box[1, axis] = min(box[1, axis], place)


def _around(recon: Mesh, truth: Mesh) -> np.ndarray:
    both = np.stack([recon.bounds, truth.bounds])
    return np.stack([both[:, 0].min(axis=0) - 1.0, both[:, 1].max(axis=0) + 1.0])


def _shaft(
    bone: str, reference: dict[str, Mesh], joint: np.ndarray | None
) -> tuple[int, tuple[int, ...]]:
    """The coordinate axis a shaft runs along, and at which of its ends it may be cut."""
    if joint is None:
        points = reference[bone].vertices
        direction = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
        return int(np.argmax(np.abs(direction))), (-1, 1)
    # The fibula lies beside the tibia, so its own direction from the joint misleads.
    guide = reference["tibia" if bone == "fibula" else bone]
    direction = guide.corners().mean(axis=(0, 1)) - joint
    axis = int(np.argmax(np.abs(direction)))
    return axis, (1 if direction[axis] > 0 else -1,)


def _end_of_reference(truth: Mesh, axis: int, sign: int, joint: np.ndarray | None) -> float | None:
    """Where the reference is cut; its end where a joint tells which end is the far one."""
    cut = _cut_at(truth, axis, sign)
    if cut is None and joint is not None:
        # Nothing is known of a bone past the end of its reference, cut or not.
        return float((sign * truth.vertices[:, axis]).max())
    return cut


def _shorten(box: np.ndarray, cuts: dict[str, float | None], axis: int, sign: int) -> str:
    """Move one side of ``box`` (in place) inside the nearest cut; returns what was done."""
    found = {who: place for who, place in cuts.items() if place is not None}
    if not found:
        return ""
    who = min(found, key=lambda name: found[name])
    side = 1 if sign > 0 else 0
    if found[who] - _MARGIN >= sign * box[side, axis]:
        return ""
    box[side, axis] = sign * (found[who] - _MARGIN)
    end = f"{'xyz'[axis]} = {box[side, axis]:.1f} mm"
    return Message("evaluated to {end}, where the {who} is cut", end=end, who=who)


def _cut_at(mesh: Mesh, axis: int, sign: int) -> float | None:
    """Where ``mesh`` is cut at its end along ``sign * axis``; None if it ends by itself.

    The coordinate (times ``sign``) up to which the surface is whole all round.
    """
    height = sign * mesh.vertices[:, axis]
    top = height.max()
    loops = [height[np.unique(edges)] for edges in mesh.open_loops()]
    # 5 mm: an open end may be frayed, but a hole further down is a hole.
    ends = [loop.min() for loop in loops if loop.max() >= top - 5.0]
    if ends:
        return float(min(ends))
    return float(top) if _has_flat_cap(mesh, axis, sign) else None


def _has_flat_cap(mesh: Mesh, axis: int, sign: int) -> bool:
    """Whether faces within 0.5 mm of the top cover half of the cross-section 3 mm below.

    A sphere of 13 mm radius covers a fifth, a capped shaft all of it.
    """
    height = sign * mesh.vertices[:, axis]
    flat = (height[mesh.faces] >= height.max() - 0.5).all(axis=1)
    cap = np.abs(mesh.area_vectors()[flat, axis]).sum()
    above = np.array([[-np.inf] * 3, [np.inf] * 3])
    above[0 if sign > 0 else 1, axis] = sign * (height.max() - 3.0)
    # Divergence theorem: seen along the axis, what lies above a section covers it once.
    section = abs(mesh.clipped(above).area_vectors()[:, axis].sum())
    return bool(cap >= 0.5 * section)


def region_around(joint: np.ndarray) -> np.ndarray:
    """The box that distances are reported for: ``[2, 3]``, lowest and highest corner, mm."""
    return np.stack([np.asarray(joint) - REACH, np.asarray(joint) + REACH])
