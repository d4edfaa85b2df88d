"""What the voxels of a label map tell: whether they show both legs, and whether values without
names can be the bones that they are taken for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.terminology import SIDES

#: A bone of both legs is at least so wide from left to right, and its parts' middles lie so far
#: apart, mm.
_BOTH_WIDE, _LEGS_APART = 100.0, 70.0

#: The other leg's part of a bone is at least this share of the larger one.
_OTHER_LEG = 0.25

#: No patella is larger, mm3, nor longer, mm.
_PATELLA_MM3, _PATELLA_MM = 45e3, 70.0


def filled_window(mask: np.ndarray) -> tuple[slice, slice, slice]:
    """The smallest box [k, j, i] that holds all of a bool volume that is not empty.

    Axis by axis, each within what the one before left: a twentieth of the time of SciPy's
    ``find_objects``.
    """
    window = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        window.append(slice(int(inside[0]), int(inside[-1]) + 1))
        mask = mask[(slice(None),) * axis + (window[-1],)]
    return tuple(window)


def one_leg(
    mask: np.ndarray, index_to_lps: np.ndarray, side: str | None, name: str
) -> tuple[np.ndarray, bool]:
    """A bone's voxels of one leg, and whether the other leg's were left out.

    Args:
        mask: bool [k, j, i].
        index_to_lps: [4, 4], mm.
        side: "L", "R" or None.
        name: of the bone and the file, for messages.

    Raises:
        MeshError: both legs, and the side is unknown.
    """
    from scipy.ndimage import label

    window = filled_window(mask)
    across = np.abs(index_to_lps[0, :3])
    width = sum(n * (part.stop - part.start) for n, part in zip(across, window[::-1]))
    if width < _BOTH_WIDE:
        return mask, False
    components, count = label(mask[window], np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(sizes >= _OTHER_LEG * sizes.max())
    low = np.array([part.start for part in window[::-1]])
    to_lps = index_to_lps.copy()
    to_lps[:3, 3] += index_to_lps[:3, :3] @ low
    places = [_centre(components == one + 1, to_lps)[0] for one in large]
    if max(places) - min(places) < _LEGS_APART:
        return mask, False
    if side is None:
        raise MeshError(
            "{name} is that of both legs.", "Give the side that is wanted, L or R.", name=name
        )
    i, j, k = (np.arange(n) for n in mask.shape[::-1])
    x = index_to_lps[0, 3] + index_to_lps[0, 0] * i + index_to_lps[0, 1] * j[:, None]
    x = x + index_to_lps[0, 2] * k[:, None, None]
    middle = (min(places) + max(places)) / 2
    return mask & ((x > middle) if side == "L" else (x < middle)), True


def left_out(side: str, name: str) -> str:
    """The sentence on a map of two legs."""
    other = "R" if side == "L" else "L"
    return Message(
        "{name} shows both legs: the {side} one is taken, the {other_side} left out.",
        name=name,
        side=SIDES[side],
        other_side=SIDES[other],
    )


def unplaced(index_to_lps: np.ndarray, name: str) -> list[str]:
    """A sentence where the matrix [4, 4] from (i, j, k, 1) to LPS mm is the identity, as readers
    give it for a header that states neither voxel size nor place."""
    if (index_to_lps != np.eye(4)).any():
        return []
    return [
        Message(
            "{name} states no voxel size other than 1 mm; if it was lost in an export, the bones "
            "have the wrong size.",
            name=name,
        )
    ]


def assumed_values(values: Mapping[str, int]) -> str:
    """The values that bones are taken to have, in words."""
    return ", ".join(f"{value} {bone}" for bone, value in values.items())


def check_assumed(
    masks: Mapping[str, np.ndarray], index_to_lps: np.ndarray, name: str
) -> str | None:
    """A sentence that says as what the values of a map without names are taken.

    Raises:
        MeshError: by size and place they cannot be these bones.
    """
    volume = {bone: _volume(mask, index_to_lps) for bone, mask in masks.items()}
    heights = {bone: _heights(mask, index_to_lps) for bone, mask in masks.items()}
    # All of a bone of the thigh lies above the middle of what is seen of one of the shank.
    doubts = [
        f"{LABELS[upper]} would be a {upper} that reaches below the middle of the {lower}"
        for upper, lower in (("femur", "tibia"), ("femur", "fibula"), ("patella", "tibia"))
        if upper in masks and lower in masks and heights[upper].min() < heights[lower].mean()
    ]
    doubts += [
        f"{LABELS[small]} would be a {small} larger than the {large}"
        for small, large in (("patella", "femur"), ("patella", "tibia"), ("fibula", "tibia"))
        if small in masks and large in masks and volume[small] > volume[large]
    ]
    if "patella" in masks:
        length = _length(masks["patella"], index_to_lps)
        if volume["patella"] > _PATELLA_MM3 or length > _PATELLA_MM:
            doubts.append(f"{LABELS['patella']} would be a patella {length:.0f} mm long")
    taken = assumed_values({bone: LABELS[bone] for bone in BONES if bone in masks})
    if doubts:
        raise MeshError(
            "{name} has no names for its values, and they are not {taken}: {first_doubt}.",
            "Say which value is which bone (compare: --pick femur=75), or put a table of "
            "names beside it (labels.csv, dataset.json).",
            name=name,
            taken=taken,
            first_doubt=doubts[0],
        )
    return Message(
        "{name} has no names for its values; they are taken as {taken}.", name=name, taken=taken
    )


def _volume(mask: np.ndarray, index_to_lps: np.ndarray) -> float:
    return float(np.count_nonzero(mask) * abs(np.linalg.det(index_to_lps[:3, :3])))


def _centre(mask: np.ndarray, index_to_lps: np.ndarray) -> np.ndarray:
    """Mean of the voxels' places, (3,) mm."""
    index = [
        np.average(np.arange(size), weights=mask.sum(tuple({0, 1, 2} - {axis})))
        for axis, size in enumerate(mask.shape)
    ]
    return index_to_lps[:3, :3] @ index[::-1] + index_to_lps[:3, 3]


def _heights(mask: np.ndarray, index_to_lps: np.ndarray) -> np.ndarray:
    """Of an eighth of the voxels (of all where these are none), mm."""
    index = 2 * np.argwhere(mask[::2, ::2, ::2])[:, ::-1]
    index = index if len(index) else np.argwhere(mask)[:, ::-1]
    return index @ index_to_lps[2, :3] + index_to_lps[2, 3]


def _length(mask: np.ndarray, index_to_lps: np.ndarray) -> float:
    """Longest edge of the voxels' box, mm."""
    edges = np.linalg.norm(index_to_lps[:3, :3], axis=0)
    spans = [np.ptp(np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))) + 1 for axis in range(3)]
    return float((edges * spans[::-1]).max())
