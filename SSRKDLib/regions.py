"""Which part of two sets of bones may be compared when no rig says what was seen.

Shafts end where an image ended, not where the bone does, and two sets rarely end at the
same place. The part judged is

1. within 80 mm of the joint along each axis of the frame, and
2. for femur, fibula and tibia, 2 mm short of the place where either surface is cut.

A reconstruction counts as cut only where it is open or has a flat lid; one that simply
stops too early is judged in full, and pays for what is missing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SSRKDLib.meshes import Mesh

#: Bones that leave the image, and so may be cut at the end away from the joint.
SHAFTS: tuple[str, ...] = ("femur", "fibula", "tibia")

#: How far from the joint surfaces are judged, along each axis, mm.
REACH = 80.0

#: How far inside a cut the judged part ends, mm.
_MARGIN = 2.0


class Region(NamedTuple):
    """The judged part of one bone: ``box`` [2, 3] (lowest, highest corner, mm), and
    ``note``, which says where a cut made it smaller ("" otherwise)."""

    box: np.ndarray
    note: str


def joint_centre(meshes: dict[str, Mesh]) -> np.ndarray | None:
    """Where femur and tibia come closest to each other, [3] mm; None without both.

    The mean of the vertices on either side whose distance to the other bone is within
    6 mm of the smallest, which takes in both condyles.
    """
    if not all(bone in meshes and len(meshes[bone].faces) for bone in ("femur", "tibia")):
        return None
    from scipy.spatial import cKDTree

    femur, tibia = meshes["femur"].vertices, meshes["tibia"].vertices
    sides = []
    for points, other in ((femur, tibia), (tibia, femur)):
        distance, _ = cKDTree(other).query(points)
        sides.append(points[distance <= distance.min() + 6.0].mean(axis=0))
    return np.mean(sides, axis=0)


def common_region(
    recon: dict[str, Mesh], reference: dict[str, Mesh], reach: float = REACH
) -> dict[str, Region]:
    """The judged part of every bone that both sets have (see the module's text).

    The joint is the reference's. Where the reference lacks femur or tibia there is no
    joint, and only cuts (at either end) limit what is judged. Both sets must be in one
    frame, in mm.
    """
    joint = joint_centre(reference)
    regions = {}
    for bone, truth in reference.items():
        if bone not in recon or not len(recon[bone].faces) or not len(truth.faces):
            continue
        both = np.stack([recon[bone].bounds, truth.bounds])
        box = np.stack([both[:, 0].min(axis=0) - 1.0, both[:, 1].max(axis=0) + 1.0])
        if joint is not None:
            box[0] = np.maximum(box[0], joint - reach)
            box[1] = np.minimum(box[1], joint + reach)
        notes = []
        if bone in SHAFTS:
            axis, signs = _shaft(bone, reference, joint)
            for sign in signs:
                note = _shorten(box, recon[bone], truth, axis, sign, joint)
                notes += [note] if note else []
        regions[bone] = Region(box, "; ".join(notes))
    return regions


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


def _shorten(
    box: np.ndarray, recon: Mesh, truth: Mesh, axis: int, sign: int, joint: np.ndarray | None
) -> str:
    """Move one side of ``box`` (in place) inside the nearer cut; returns what was done."""
    cuts = {"reconstruction": _cut_at(recon, axis, sign), "reference": _cut_at(truth, axis, sign)}
    if joint is not None and cuts["reference"] is None:
        # Nothing is known of a bone past the end of its reference, cut or not.
        cuts["reference"] = float((sign * truth.vertices[:, axis]).max())
    found = {who: place for who, place in cuts.items() if place is not None}
    if not found:
        return ""
    who = min(found, key=lambda name: found[name])
    side = 1 if sign > 0 else 0
    if found[who] - _MARGIN >= sign * box[side, axis]:
        return ""
    box[side, axis] = sign * (found[who] - _MARGIN)
    end = f"{'xyz'[axis]} = {box[side, axis]:.1f} mm"
    return f"judged to {end}, where the {who} is cut"


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
    return float(top) if _has_flat_lid(mesh, axis, sign) else None


def _has_flat_lid(mesh: Mesh, axis: int, sign: int) -> bool:
    """Whether faces within 0.5 mm of the top cover half of the cross-section 3 mm below.

    A ball of 13 mm radius covers a fifth, a capped shaft all of it.
    """
    height = sign * mesh.vertices[:, axis]
    flat = (height[mesh.faces] >= height.max() - 0.5).all(axis=1)
    lid = np.abs(mesh.area_vectors()[flat, axis]).sum()
    above = np.array([[-np.inf] * 3, [np.inf] * 3])
    above[0 if sign > 0 else 1, axis] = sign * (height.max() - 3.0)
    # Divergence theorem: seen along the axis, what lies above a section covers it once.
    section = abs(mesh.clipped(above).area_vectors()[:, axis].sum())
    return bool(lid >= 0.5 * section)
