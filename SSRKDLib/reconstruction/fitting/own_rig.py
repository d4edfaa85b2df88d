"""The rig as one bone sees it, and the network's field asked there: a light residual of the fit.

A network that takes the knee for one rigid body is right about one bone at a time when the second
camera stands where it would have seen that bone, had the bone not moved. Only vertices of the
fitted bone are asked, some hundred of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.models.interface import BoneField, Query
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import FramedRadiographs
from SSRKDLib.reconstruction.edited_masks import segmented_anew
from SSRKDLib.reconstruction.fitting.fit import Fit
from SSRKDLib.reconstruction.fitting.residuals import Knee, NormalEquations
from SSRKDLib.reconstruction.fitting.state import PAIR, FitState

#: Standard deviation of the field, mm, the edge of a square of surface that is one look at it, mm,
#: and the distance beyond which it counts less and less.
FIELD_SD_MM, FIELD_LOOK_MM, _ROBUST_MM = 0.8, 20.0, 3.0

#: The field is asked within this of the joint along each axis, mm, and at so many vertices a bone.
ASKED_MM, ASKED_VERTICES = 86.0, 350

#: Distances beyond this say that the network sees another bone, not where this one's surface is.
_LOST_MM = 8.0

#: Distances beyond this count as this in the misfit, mm.
_FAR_MM = 5.0


@dataclass(frozen=True, eq=False)
class AskedBone:
    """A field that is asked about one bone.

    Attributes:
        query: points to distances, positive inside.
        to_field: per view that is asked in, world to the field's coordinates, 4x4.
        vertices: which of the bone's are asked.
        area: mm^2 that they stand for.
    """

    query: Query
    to_field: dict[int, np.ndarray]
    vertices: np.ndarray
    area: float


@dataclass(frozen=True, eq=False)
class FieldTerm:
    """The surface lies where the network's field is zero.

    Attributes:
        bones: what is asked, by bone.
    """

    bones: dict[str, AskedBone]

    def add_to(self, equations: NormalEquations, knee: Knee) -> None:
        """See :class:`SSRKDLib.reconstruction.fitting.gauss_newton.Evidence`."""
        for bone, asked in self.bones.items():
            looks = asked.area / len(asked.vertices) / FIELD_LOOK_MM**2
            for slot in asked.to_field:
                points, normals = (a[asked.vertices] for a in knee.placed(slot, bone))
                inside = self._distances(bone, slot, points)
                weights = looks / len(asked.to_field) / FIELD_SD_MM**2
                weights = weights / (1 + (inside / _ROBUST_MM) ** 2) ** 2
                weights = np.where(np.abs(inside) < _LOST_MM, weights, 0.0)
                modes = None
                if equations.components:
                    modes = knee.state.model.bones[bone].modes[asked.vertices]
                equations.add_points(slot, bone, points, normals, modes, weights, weights * inside)

    def distances(self, state: FitState) -> dict[str, np.ndarray]:
        """How far the asked vertices lie inside the field's surface, mm, by bone."""
        found = {}
        for bone, asked in self.bones.items():
            slot = min(asked.to_field)
            points = state.points(bone, slot)[asked.vertices]
            found[bone] = self._distances(bone, slot, points)
        return found

    def misfits(self, state: FitState) -> dict[str, float]:
        """See :class:`SSRKDLib.reconstruction.fitting.fit.SurfaceEvidence`."""
        return {
            bone: float(np.minimum(np.abs(distances), _FAR_MM).mean())
            for bone, distances in self.distances(state).items()
        }

    def _distances(self, bone: str, slot: int, points: np.ndarray) -> np.ndarray:
        asked = self.bones[bone]
        found = asked.query(moved_points(asked.to_field[slot], points))[:, BONES.index(bone)]
        return found.astype(np.float64)


def common_field(fit: Fit, field: BoneField) -> FieldTerm:
    """The field of both radiographs in the located frame, the fit's world: for bones that did not
    move."""
    bones = {}
    for bone in BONES:
        vertices, area = _asked(fit, bone)
        if any(_seen_by_pair(fit, bone)) and len(vertices):
            bones[bone] = AskedBone(field.query, {0: np.eye(4)}, vertices, area)
    return FieldTerm(bones)


def own_fields(fit: Fit, radiographs: FramedRadiographs, model: KneeModel) -> FieldTerm:
    """A field for every bone that both views show, each with that bone's own rig.

    Args:
        fit: with poses of their own; its world is the frame of the radiographs.
        radiographs: as they were segmented.
        model: the networks.
    """
    bones = {}
    for bone in BONES:
        vertices, area = _asked(fit, bone)
        if not all(_seen_by_pair(fit, bone)) or not len(vertices):
            continue
        try:
            seen = seen_from_bone(fit.state, bone, radiographs, model)
        except GeometryError:
            continue  # from there, a view shows nothing
        query = model.read(seen).query
        to_field = {slot: np.linalg.inv(fit.state.poses[slot][bone]) for slot in PAIR}
        bones[bone] = AskedBone(query, to_field, vertices, area)
    return FieldTerm(bones)


def seen_from_bone(
    state: FitState, bone: str, radiographs: FramedRadiographs, model: KneeModel
) -> FramedRadiographs:
    """The radiographs in a bone's frame as it lay in the frontal view, the lateral camera where it
    would have seen that bone, had the bone not moved.

    Raises:
        GeometryError: a view shows nothing there.
    """
    first, second = (radiographs.frame @ state.poses[slot][bone] for slot in PAIR)
    index = radiographs.input.cameras[1].index
    pair = list(radiographs.pair)
    taken = pair[index]
    moved_view = taken.view.transformed(first @ np.linalg.inv(second))
    pair[index] = Exposure(moved_view, taken.line_integral, taken.valid)
    return segmented_anew(radiographs, tuple(pair), first, model)


def _seen_by_pair(fit: Fit, bone: str) -> list[bool]:
    return [fit.seen(bone)[slot] for slot in PAIR]


def _asked(fit: Fit, bone: str) -> tuple[np.ndarray, float]:
    """Vertices to ask at, and the area that they stand for, mm^2; none of a bone that was placed
    where the field is not asked."""
    part, points = fit.state.model.bones[bone], fit.state.points(bone, 0)
    near = np.flatnonzero(
        (np.abs(part.mean) < ASKED_MM).all(1) & (np.abs(points) < ASKED_MM).all(1)
    )
    chosen = np.random.default_rng(1).permutation(near)[:ASKED_VERTICES]
    a, b, c = (points[part.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    return np.sort(chosen), float(area * len(near) / len(points))
