"""Which connected pieces of a CT's labelled voxels are the bones of one knee."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

#: Pieces smaller than this are the network's noise, mm^3; the smallest child's patella is larger.
LEAST_MM3 = 100.0

#: A piece of at least this share of a bone's largest may be the same bone of the other knee.
NEARLY = 0.4

#: What of a bone counts as its end, mm; and how far from between the ends of femur and tibia the
#: middle of a patella may lie, mm: 50 to 70 in most knees.
END_MM, PATELLA_REACH_MM = 10.0, 85.0

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of a bone.

    Attributes:
        box: the voxels (k, j, i) that it lies in.
        voxel: one of its own (k, j, i).
        voxels: how many it has.
        centre: of its voxels, ``(3,)`` LPS mm.
        low, high: middles of its lowest and of its highest 10 mm, ``(3,)`` LPS mm.
    """

    box: Box
    voxel: tuple[int, int, int]
    voxels: int
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray


def pieces(positive: np.ndarray, index_to_lps: np.ndarray, nearly: float = NEARLY) -> list[Piece]:
    """The pieces of a bone that may be it, the largest first: all nearly as large.

    Args:
        positive: where the bone is, bool ``[k, j, i]``.
        index_to_lps: 4x4, takes (i, j, k, 1) to LPS mm.
        nearly: least share of the largest piece's size.
    """
    whole = _bounding_box(positive)
    if whole is None:
        return []
    labels, count = ndimage.label(positive[whole])
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    voxel_mm3 = abs(np.linalg.det(index_to_lps[:3, :3]))
    least = max(LEAST_MM3 / voxel_mm3, nearly * sizes.max())
    boxes = ndimage.find_objects(labels)
    found = []
    for label in np.argsort(-sizes, kind="stable"):
        if sizes[label] < least:
            break
        inner = boxes[label - 1]
        places = np.argwhere(labels[inner] == label)
        first = np.array([outer.start + part.start for outer, part in zip(whole, inner)])
        lps = (places + first)[:, ::-1] @ index_to_lps[:3, :3].T + index_to_lps[:3, 3]
        height = lps[:, 2]
        low = lps[height <= height.min() + END_MM].mean(axis=0)
        high = lps[height >= height.max() - END_MM].mean(axis=0)
        box = tuple(
            slice(outer.start + part.start, outer.start + part.stop)
            for outer, part in zip(whole, inner)
        )
        found.append(
            Piece(
                box,
                tuple(int(n) for n in places[0] + first),
                int(sizes[label]),
                lps.mean(axis=0),
                low,
                high,
            )
        )
    return found


def patellae_at_a_joint(found: dict[str, list[Piece]]) -> list[Piece]:
    """The pieces of the patella that lie where one can be: by the lower end of a femur and the
    upper end of a tibia. All nearly as large, the largest first; where none lies there, or a bone
    is missing, the largest of all.

    A network that knows little of a leg far from the knee may find more patella there than at it.

    Args:
        found: from :func:`pieces`, by bone, of the patella also small ones.
    """
    some = found["patella"]
    joints = [
        (femur.low + tibia.high) / 2
        for femur in found.get("femur", ())
        for tibia in found.get("tibia", ())
    ]
    near = [
        piece
        for piece in some
        if any(np.linalg.norm(piece.centre - joint) < PATELLA_REACH_MM for joint in joints)
    ]
    kept = near or some
    return [piece for piece in kept if piece.voxels >= NEARLY * kept[0].voxels]


def one_knee(found: dict[str, list[Piece]]) -> tuple[dict[str, Piece], str]:
    """A piece per bone, all of the same knee.

    The largest piece of all, a femur or tibia, says which knee; of the other bones' pieces those
    nearest to it are taken.

    Args:
        found: from :func:`pieces`, by bone; bones without a piece are absent.

    Returns:
        The pieces by bone, and a sentence for the user where there was a choice, else "".
    """
    anchor = max((some[0] for some in found.values()), key=lambda piece: piece.voxels)
    chosen = {
        bone: anchor
        if anchor in some
        else min(some, key=lambda piece: np.linalg.norm(piece.centre - anchor.centre))
        for bone, some in found.items()
    }
    doubled = [bone for bone, some in found.items() if len(some) > 1]
    if not doubled:
        return chosen, ""
    bone = max(doubled, key=lambda bone: chosen[bone].voxels)
    others = [piece.centre[0] for piece in found[bone] if piece is not chosen[bone]]
    side = "left" if chosen[bone].centre[0] > np.mean(others) else "right"
    return chosen, (
        f"A second piece of {_listed(doubled)} is nearly as large as the first: are there two "
        f"knees in the CT? The one at the patient's {side} was taken; crop the CT for the other."
    )


def only(values: np.ndarray, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """A bone's field around one piece, everything else pushed below zero.

    Args:
        values: ``[k, j, i]``, positive inside the bone.
        piece: which.

    Returns:
        float32 values of the piece's box and a voxel around it, and that part's first voxel
        (i, j, k).
    """
    low = [max(part.start - 1, 0) for part in piece.box]
    part = tuple(slice(lo, inner.stop + 1) for lo, inner in zip(low, piece.box))
    field = values[part].astype(np.float32)
    labels, _ = ndimage.label(field > 0)
    own = labels == labels[tuple(n - lo for n, lo in zip(piece.voxel, low))]
    return np.where(own, field, -np.abs(field)), np.array(low[::-1])


def _bounding_box(marked: np.ndarray) -> Box | None:
    box = []
    for axis in range(3):
        places = np.flatnonzero(marked.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(places):
            return None
        box.append(slice(places[0], places[-1] + 1))
    return tuple(box)


def _listed(bones: list[str]) -> str:
    names = [f"the {bone}" for bone in bones]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
