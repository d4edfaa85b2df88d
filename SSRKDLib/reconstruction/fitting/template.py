"""Delivered bones: the template's vertices in the template's order, cut where the region ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from SSRKDLib.reconstruction.fitting.shape_model import TEMPLATE, TEMPLATE_VERSION, BoneModel
from SSRKDLib.surfaces.mesh import Mesh

#: A cut stays this share of an edge away from its ends, so that no face collapses.
_NUDGE = 0.02


@dataclass(frozen=True, eq=False)
class CutBone:
    """What is left of a bone's template.

    Attributes:
        mesh: the vertices that are left, in the template's order, then those of the cut.
        kept: ``[N]`` their numbers in the population's bone; the cut's own vertices have none.
    """

    mesh: Mesh
    kept: np.ndarray


def cut_bone(bone: BoneModel, points: np.ndarray, margins: np.ndarray) -> CutBone | None:
    """Cut a bone where margins are zero, through its faces; its largest piece.

    Args:
        bone: its template.
        points: ``[V, 3]`` mm.
        margins: ``[V]``, positive where the bone is kept.

    Returns:
        None where nothing is left.
    """
    margins = np.where(bone.rim, np.minimum(margins, -1e-3), margins)
    inside = _largest_piece(bone, margins > 0)
    if not inside.any():
        return None
    kept = np.flatnonzero(inside)
    number = np.cumsum(inside) - 1
    left = inside[bone.faces]
    whole = number[bone.faces[left.all(1)]]
    crossed = bone.faces[left.any(1) & ~left.all(1)]

    # Turned so that the corner that stands alone comes first.
    alone = inside[crossed].sum(1) == 1
    odd = inside[crossed] == alone[:, None]
    crossed = np.take_along_axis(crossed, (odd.argmax(1)[:, None] + [0, 1, 2]) % 3, axis=1)
    first, second, third = crossed.T
    pairs = np.sort(np.stack([first, second, first, third], axis=1).reshape(-1, 2, 2), axis=2)
    pairs, which = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    near, far = margins[pairs].T
    share = np.clip(near / (near - far), _NUDGE, 1 - _NUDGE)[:, None]
    cut = points[pairs[:, 0]] * (1 - share) + points[pairs[:, 1]] * share
    to_second, to_third = (len(kept) + which.reshape(-1, 2)).T
    corner, second, third = number[first], number[second], number[third]
    faces = np.concatenate(
        [
            whole,
            np.stack([corner, to_second, to_third], axis=1)[alone],
            np.stack([to_second, second, third], axis=1)[~alone],
            np.stack([to_second, third, to_third], axis=1)[~alone],
        ]
    )
    return CutBone(Mesh(np.concatenate([points[kept], cut]), faces), bone.vertices[kept])


def _largest_piece(bone: BoneModel, inside: np.ndarray) -> np.ndarray:
    edges = bone.edges[inside[bone.edges].all(1)]
    links = coo_matrix((np.ones(len(edges)), edges.T), shape=(len(inside), len(inside)))
    _, labels = connected_components(links, directed=False)
    sizes = np.bincount(labels[inside], minlength=labels.max() + 1)
    return inside & (labels == sizes.argmax()) if inside.any() else inside


def correspondence(bones: dict[str, CutBone]) -> dict:
    """What report.json says of the vertices: the template (the bundled population's bones), and per
    bone which of its vertices are left (ranges ``[first, last]``, both included) and how many
    the cut has added after them."""
    return {
        "template": TEMPLATE,
        "version": TEMPLATE_VERSION,
        "bones": {
            name: {
                "vertices": _ranges(bone.kept),
                "cut_vertices": len(bone.mesh.vertices) - len(bone.kept),
            }
            for name, bone in bones.items()
        },
    }


def _ranges(numbers: np.ndarray) -> list[list[int]]:
    ends = np.flatnonzero(np.diff(numbers) != 1)
    first = numbers[np.concatenate([[0], ends + 1])]
    last = numbers[np.concatenate([ends, [len(numbers) - 1]])]
    return [[int(a), int(b)] for a, b in zip(first, last)]
