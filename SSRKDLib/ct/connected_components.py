"""Which connected components of a CT's segmented voxels are the bones of one knee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.messages import Message

#: Smaller components are the network's noise, mm^3; the smallest child's patella is larger.
LEAST_MM3 = 100.0

#: A component of at least this share of a bone's largest may be the same bone of the other knee.
NEARLY = 0.4

#: What of a bone counts as its end, mm.
END_MM = 10.0

#: Where a bone can be. Femur and tibia of one leg: least distance from side to side between those
#: of two legs, mm (below 20 in one leg). Patella: of its middle from the middle of the joint, mm
#: (50 to 70 in most knees). Fibula: of its middle from the tibia, mm (15 to 30).
SAME_LEG_MM, PATELLA_REACH_MM, FIBULA_REACH_MM = 75.0, 85.0, 50.0

#: No patella is longer, mm.
PATELLA_MM = 75.0

#: Voxels by which the place of a component is represented where distances are measured.
_POINTS = 4000

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Component:
    """A connected component of a bone's voxels.

    Attributes:
        box: the voxels (k, j, i) that it lies in.
        voxel: one of its own (k, j, i).
        voxels: how many it has.
        centre: of its voxels, ``(3,)`` LPS mm.
        low, high: middles of its lowest and of its highest 10 mm, ``(3,)`` LPS mm.
        points: some of its voxels, ``[N, 3]`` LPS mm.
    """

    box: Box
    voxel: tuple[int, int, int]
    voxels: int
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    points: np.ndarray

    def distance_to(self, point: np.ndarray) -> float:
        """Of a point ``(3,)`` from the component, to within the spacing of its points, mm."""
        return float(np.linalg.norm(self.points - point, axis=1).min())


def components(positive: np.ndarray, index_to_lps: np.ndarray) -> list[Component]:
    """The components of a bone's voxels, the largest first, without noise.

    Args:
        positive: where the bone is, bool ``[k, j, i]``.
        index_to_lps: 4x4, takes (i, j, k, 1) to LPS mm.
    """
    whole = _bounding_box(positive)
    if whole is None:
        return []
    labels, count = ndimage.label(positive[whole])
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    least = LEAST_MM3 / abs(np.linalg.det(index_to_lps[:3, :3]))
    boxes = ndimage.find_objects(labels)
    found = []
    for label in np.argsort(-sizes, kind="stable"):
        if sizes[label] < max(least, 1):
            break
        inner = boxes[label - 1]
        places = np.argwhere(labels[inner] == label)
        first = np.array([outer.start + part.start for outer, part in zip(whole, inner)])
        lps = (places + first)[:, ::-1] @ index_to_lps[:3, :3].T + index_to_lps[:3, 3]
        height = lps[:, 2]
        box = tuple(
            slice(outer.start + part.start, outer.start + part.stop)
            for outer, part in zip(whole, inner)
        )
        found.append(
            Component(
                box,
                tuple(int(n) for n in places[0] + first),
                int(sizes[label]),
                lps.mean(axis=0),
                low=lps[height <= height.min() + END_MM].mean(axis=0),
                high=lps[height >= height.max() - END_MM].mean(axis=0),
                points=lps[:: -(-len(lps) // _POINTS)].copy(),
            )
        )
    return found


def one_knee(
    found: Mapping[str, list[Component]],
) -> tuple[dict[str, Component], list[str]]:
    """A component per bone, all of the same knee.

    The largest femur or tibia decides which knee. Of the other bones those components count whose
    place beside it is possible; of these, where several are nearly as large, the nearest is taken.
    Far from the knee, which it was trained on, a network may segment more of a bone than at it.

    Args:
        found: from :func:`components`, by bone; bones without a component are absent.

    Returns:
        The components by bone, and sentences: where there was a choice, and which bones were left
        out since no component is where they can be.
    """
    shafts = [bone for bone in ("femur", "tibia") if bone in found] or list(found)
    anchor_bone = max(shafts, key=lambda bone: found[bone][0].voxels)
    anchor = found[anchor_bone][0]
    chosen, misplaced = {anchor_bone: anchor}, []
    for bone in ("femur", "tibia", "fibula", "patella"):
        if bone == anchor_bone or bone not in found:
            continue
        candidates = _large([one for one in found[bone] if _is_possible(bone, one, chosen)])
        if candidates:
            chosen[bone] = min(
                candidates, key=lambda one: float(np.linalg.norm(one.centre - anchor.centre))
            )
        else:
            misplaced.append(bone)
    sentences = [
        Message(
            "What was segmented as {bone} cannot be that of this knee by its place or size, "
            "{distance:.0f} mm from its {anchor_bone}; it was left out.",
            bone=bone,
            distance=anchor.distance_to(found[bone][0].centre),
            anchor_bone=anchor_bone,
        )
        for bone in misplaced
    ]
    chosen = {bone: chosen[bone] for bone in BONES if bone in chosen}
    return chosen, [*_choice(found, chosen), *sentences]


def _choice(found: Mapping[str, list[Component]], chosen: dict[str, Component]) -> list[str]:
    """A sentence where the CT seems to show two knees."""
    others = {
        bone: [
            one
            for one in _large(_at_a_knee(bone, found))
            # In the same leg it is a piece of another bone that was taken for this one.
            if not _same_leg(one.centre, component.centre)
        ]
        for bone, component in chosen.items()
    }
    doubled = [bone for bone in chosen if others[bone]]
    if not doubled:
        return []
    bone = max(doubled, key=lambda bone: chosen[bone].voxels)
    middle = np.mean([one.centre[0] for one in others[bone]])
    side = "left" if chosen[bone].centre[0] > middle else "right"
    return [
        Message(
            "A second component of {listed} is nearly as large as the first: are there "
            "two knees in the CT? The one at the patient's {side} was taken; crop the CT "
            "for the other.",
            listed=_listed(doubled),
            side=side,
        )
    ]


def _at_a_knee(bone: str, found: Mapping[str, list[Component]]) -> list[Component]:
    """The components of a bone; of the patella those that lie at a knee, whichever."""
    if bone != "patella":
        return found[bone]
    knees = [
        {"femur": femur, "tibia": tibia}
        for femur in _large(found.get("femur", []))
        for tibia in _large(found.get("tibia", []))
        if _is_possible("tibia", tibia, {"femur": femur})
    ] or [{name: one} for name in ("femur", "tibia") for one in _large(found.get(name, []))]
    return [
        one for one in found[bone] if any(_is_possible(bone, one, knee) for knee in knees or [{}])
    ]


def _is_possible(bone: str, component: Component, knee: Mapping[str, Component]) -> bool:
    """Whether a component can, by its place, and a patella by its size, be a bone of the knee that
    femur and tibia, as far as they are known, belong to."""
    femur, tibia = knee.get("femur"), knee.get("tibia")
    if bone == "patella" and np.ptp(component.points, axis=0).max() > PATELLA_MM:
        return False
    if bone == "femur":
        return tibia is None or _same_leg(component.low, tibia.high)
    if bone == "tibia":
        return femur is None or _same_leg(femur.low, component.high)
    if bone == "fibula":
        if tibia is None:
            return femur is None or _same_leg(femur.low, component.high)
        return tibia.distance_to(component.centre) < FIBULA_REACH_MM
    if femur is not None and tibia is not None:
        middle = _joint_between(femur, tibia)
        return bool(np.linalg.norm(component.centre - middle) < PATELLA_REACH_MM)
    other = femur or tibia
    return other is None or other.distance_to(component.centre) < PATELLA_REACH_MM


def _same_leg(one: np.ndarray, other: np.ndarray) -> bool:
    """Compared from side to side only: a bent knee changes that little."""
    return bool(abs(one[0] - other[0]) < SAME_LEG_MM)


def _joint_between(femur: Component, tibia: Component) -> np.ndarray:
    """Middle of where two components face each other, however the knee is bent, ``(3,)`` mm."""
    distances, nearest = cKDTree(tibia.points).query(femur.points)
    facing = distances <= distances.min() + END_MM
    return (femur.points[facing].mean(axis=0) + tibia.points[nearest[facing]].mean(axis=0)) / 2


def _large(found: list[Component]) -> list[Component]:
    """Those nearly as large as the first."""
    return [one for one in found if one.voxels >= NEARLY * found[0].voxels]


def isolated_field(values: np.ndarray, component: Component) -> tuple[np.ndarray, np.ndarray]:
    """A bone's field around one component, everything else pushed below zero.

    Args:
        values: ``[k, j, i]``, positive inside the bone.
        component: which.

    Returns:
        float32 values of the component's box and a voxel around it, and that part's first voxel
        (i, j, k).
    """
    low = [max(part.start - 1, 0) for part in component.box]
    part = tuple(slice(lo, inner.stop + 1) for lo, inner in zip(low, component.box))
    field = values[part].astype(np.float32)
    labels, _ = ndimage.label(field > 0)
    own = labels == labels[tuple(n - lo for n, lo in zip(component.voxel, low))]
    return np.where(own, field, -np.abs(field)), np.array(low[::-1])


def _bounding_box(positive: np.ndarray) -> Box | None:
    box = []
    for axis in range(3):
        places = np.flatnonzero(positive.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(places):
            return None
        box.append(slice(places[0], places[-1] + 1))
    return tuple(box)


def _listed(bones: list[str]) -> str:
    names = [f"the {bone}" for bone in bones]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
