"""What the fit is drawn by: each term adds to the normal equations of one step.

Residuals are in mm, target less model, so that a step along the Jacobian brings the model nearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import cross_products, moved_points
from SSRKDLib.geometry.views import View
from SSRKDLib.reconstruction.fitting.joints import Rows
from SSRKDLib.reconstruction.fitting.outlines import Contour, MaskOutline, bone_contour
from SSRKDLib.reconstruction.fitting.state import PIVOTS, FitState

#: Standard deviation of a mask's border, mm, and the length of border that is one look at it, mm.
OUTLINE_SD_MM, OUTLINE_LOOK_MM = 0.5, 12.0

#: Standard deviation of what a mask is too large by all round, mm. Without it, a bias of 0.3 mm
#: would become 8 mm of depth.
OFFSET_SD_MM = 0.2

#: What a user has drawn is sharper than what a network has: borders and offset, as a share.
EDITED_SHARE = 0.5

#: A match needs normals that agree, as their cosine.
_LEAST_COSINE = 0.3

#: Bones keep this far from each other, mm, and how strictly, mm.
_CLEARANCE_MM, _CLEARANCE_SD_MM = 0.5, 0.5

#: One that is deeper within another one is not pushed out of it, mm.
_CONTACT_MM = 10.0


#: By bone, how far each matched point of its outlines in the masks is from the bone's own, mm.
Far = dict[str, np.ndarray]


@dataclass(frozen=True)
class Matching:
    """How outlines are matched in a step.

    Attributes:
        components: of the shape that may change; 0: only poses.
        scale_mm: distances beyond it count less and less (Geman and McClure's function).
        reach: the farthest match, pixels.
        bend: pixels that opposite normals count as.
        every: one in so many points of the masks is used.
    """

    components: int
    scale_mm: float
    reach: float
    bend: float
    every: int = 1


class NormalEquations:
    """Sums over residuals for unknown coefficients, motions of poses, shifts of further views
    (where the state has any) and offsets of masks."""

    def __init__(self, state: FitState, components: int) -> None:
        self.state, self.components = state, components
        self.motions = components
        self.shifts = components + 6 * state.blocks
        self.offsets = self.shifts + state.free
        size = self.offsets + state.offsets.size
        self.matrix, self.side = np.zeros((size, size)), np.zeros(size)

    def add(self, columns: np.ndarray, rows: np.ndarray, weights: np.ndarray, pull: np.ndarray):
        """Add residuals.

        Args:
            columns: ``[C]`` which unknowns the rows are about.
            rows: ``[N, C]`` Jacobian.
            weights: ``[N]``.
            pull: ``[N]`` weighted residuals.
        """
        scaled = np.sqrt(weights)[:, None] * rows
        self.matrix[np.ix_(columns, columns)] += scaled.T @ scaled  # BLAS takes half as long
        self.side[columns] += rows.T @ pull

    def add_points(
        self, slot: int, bone: str, points: np.ndarray, directions: np.ndarray,
        modes: np.ndarray | None, weights: np.ndarray, pull: np.ndarray, offset: bool = False,
    ) -> None:  # fmt: skip
        """Add points of a bone that are drawn along directions.

        Args:
            slot, bone: whose.
            points: ``[N, 3]`` mm, world.
            directions: ``[N, 3]``: of the residual per mm, world.
            modes: ``[N, 3, components]``: how the points move with the shape; None: they do not.
            weights, pull: as for :meth:`add`.
            offset: whether the mask's offset is in the residual.
        """
        pose = self.state.poses[slot][bone]
        moved, rows = self.motion_columns(slot, bone, points, directions)
        columns, parts = [moved], [rows]
        if slot and self.state.free:
            parts.append(directions)
            columns.append(self.shifts + 3 * (slot - 1) + np.arange(3))
        if modes is not None and self.components:
            local = (directions @ pose[:3, :3]).astype(np.float32)
            parts.append((local[:, None] @ modes[:, :, : self.components])[:, 0])
            columns.append(np.arange(self.components))
        if offset:
            parts.append(np.ones((len(points), 1)))
            columns.append([self.offsets + len(BONES) * slot + BONES.index(bone)])
        self.add(np.concatenate(columns), np.concatenate(parts, axis=1), weights, pull)

    def motion_columns(
        self, slot: int, bone: str, points: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which unknowns move a bone in a view, ``[6]``, and the Jacobian ``[N, 6]`` by them of how
        far points ``[N, 3]`` of it (mm, world) lie along directions ``[N, 3]``."""
        arms = points - moved_points(self.state.poses[slot][bone], PIVOTS[bone])
        at = self.motions + 6 * self.state.block(slot, bone)
        return np.arange(at, at + 6), np.concatenate(
            [cross_products(arms, directions), directions], axis=1
        )

    def add_rows(self, rows: Rows) -> None:
        """Add residuals of poses, or of poses and shifts, in standard deviations (the value
        itself, not a target's)."""
        columns = np.arange(self.motions, self.motions + rows.jacobian.shape[1])
        self.add(columns, rows.jacobian, np.ones(len(rows.residuals)), -rows.residuals)

    def add_shape(self) -> None:
        """Coefficients are standard deviations."""
        count = np.arange(self.components)
        self.matrix[count, count] += 1.0
        self.side[count] -= self.state.coefficients[: self.components]

    def add_offsets(self, deviations: np.ndarray) -> None:
        """What masks are too large by, ``[views, 4]`` mm."""
        at = np.arange(self.offsets, len(self.side))
        self.matrix[at, at] += 1.0 / deviations.ravel() ** 2
        self.side[at] -= (self.state.offsets / deviations**2).ravel()

    def solution(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """For :meth:`FitState.stepped`, see :meth:`split`."""
        return self.split(np.linalg.solve(self._sure_matrix(), self.side))

    def split(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All unknowns as ``[K]``, ``[blocks, 6]``, ``[views, 4]`` and ``[views - 1, 3]``, for
        :meth:`FitState.stepped`; the last has no rows where there are no shifts."""
        shape = np.zeros_like(self.state.coefficients)
        shape[: self.components] = found[: self.components]
        motions = found[self.motions : self.shifts].reshape(-1, 6)
        offsets = found[self.offsets :].reshape(self.state.offsets.shape)
        return shape, motions, offsets, found[self.shifts : self.offsets].reshape(-1, 3)

    def following(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The change of all unknowns, ``[size, M]``, that goes with a unit change of one
        combination of poses at a time, the other combinations held: other poses follow as is most
        likely; shape, shifts and offsets are held.

        Args:
            columns: ``[C]`` which unknowns the combinations are of.
            rows: ``[M, C]`` the combinations.
        """
        whole = np.zeros((len(self.side), len(rows)))
        whole[columns] = rows.T
        poses = slice(self.motions, self.shifts)
        whole[poses] = np.linalg.solve(self._sure_matrix()[poses, poses], whole[poses])
        return whole @ np.linalg.inv(rows @ whole[columns])

    def covariance(self) -> np.ndarray:
        """Of all unknowns, in the order of the matrix."""
        return np.linalg.inv(self._sure_matrix())

    def _sure_matrix(self) -> np.ndarray:
        return self.matrix + 1e-6 * np.eye(len(self.side))


class Knee:
    """The bones of a state, computed once for a step.

    Args:
        state: shape and poses.
        before: of another state, whose shape may be the same.
    """

    def __init__(self, state: FitState, before: Knee | None = None) -> None:
        self.state = state
        if before and np.array_equal(before.state.coefficients, state.coefficients):
            self.shapes, self.normals = before.shapes, before.normals
            return
        bones = state.model.bones
        self.shapes = {bone: part.shape(state.coefficients) for bone, part in bones.items()}
        self.normals = {bone: part.normals(self.shapes[bone]) for bone, part in bones.items()}

    def contour(self, slot: int, bone: str, view: View) -> Contour:
        """See :func:`SSRKDLib.reconstruction.fitting.outlines.bone_contour`."""
        return bone_contour(
            self.state.model.bones[bone], self.shapes[bone], self.normals[bone],
            self.state.poses[slot][bone], view,
        )  # fmt: skip

    def placed(self, slot: int, bone: str) -> tuple[np.ndarray, np.ndarray]:
        """Vertices and normals in the world, as the bone lay in a view."""
        pose = self.state.poses[slot][bone]
        return moved_points(pose, self.shapes[bone]), self.normals[bone] @ pose[:3, :3].T


@dataclass(frozen=True, eq=False)
class OutlineTerm:
    """The masks' borders against the bones' outlines, both ways.

    Attributes:
        views: in the world.
        inner: per view :func:`~SSRKDLib.reconstruction.fitting.outlines.depth_inside`.
        outlines: per view and bone.
        shares: ``[views]`` of the standard deviations, less than 1 for masks that a user edited.
    """

    views: tuple[View, ...]
    inner: tuple[np.ndarray, ...]
    outlines: tuple[dict[str, MaskOutline], ...]
    shares: np.ndarray

    def add_to(self, equations: NormalEquations, knee: Knee, how: Matching) -> Far:
        """Add, and return how far the masks are from the bones."""
        far = {bone: np.empty(0) for bone in BONES}
        deviations = np.repeat(OFFSET_SD_MM * self.shares[:, None], len(BONES), axis=1)
        equations.add_offsets(deviations)
        for slot in knee.state.slots:
            for bone in BONES:
                if self.outlines[slot][bone].seen:
                    one = self._add_one(equations, knee, how, slot, bone)
                    far[bone] = np.concatenate([far[bone], one])
        return far

    def _add_one(
        self, equations: NormalEquations, knee: Knee, how: Matching, slot: int, bone: str
    ) -> np.ndarray:
        contour = knee.contour(slot, bone, self.views[slot])
        mask = self.outlines[slot][bone]
        shown = _inside(self.inner[slot], contour.image)
        if shown.sum() < 10:
            return np.empty(0)
        mine = np.concatenate([contour.image, how.bend * contour.normals], axis=1)[shown]
        number = np.flatnonzero(shown)
        points, normals, sharp = (
            array[:: how.every] for array in (mask.points, mask.normals, mask.weights)
        )
        theirs = mask.tree(how.bend, how.every)
        pixel_mm = 1.0 / np.median(contour.pixels_per_mm[shown])
        look = min(1.0, how.every * pixel_mm / OUTLINE_LOOK_MM)
        look = look / (OUTLINE_SD_MM * self.shares[slot]) ** 2 / 2

        # From the masks to the bones: several points of a mask may choose the same of the bone.
        nearest = number[cKDTree(mine).query(theirs.data)[1]]
        distance, ok = _match(contour, nearest, points, normals, how)
        robust = 1 / (1 + (distance / how.scale_mm) ** 2) ** 2
        weight = np.where(ok, look * sharp * robust, 0.0)
        weights = np.bincount(nearest, weight, len(contour.image))
        pulls = np.bincount(nearest, weight * distance, len(contour.image))
        far = np.abs(distance[ok])

        # And back, as much in all.
        chosen = theirs.query(mine)[1]
        distance, matched = _match(contour, number, points[chosen], normals[chosen], how)
        robust = 1 / (1 + (distance / how.scale_mm) ** 2) ** 2
        weight = np.where(matched, look * len(points) / len(number) * sharp[chosen] * robust, 0.0)
        weights[number] += weight
        pulls[number] += weight * distance

        pulls = pulls - weights * equations.state.offsets[slot, BONES.index(bone)]
        used = weights > 0
        modes = None
        if equations.components:
            all_modes = knee.state.model.bones[bone].modes
            some = Contour(*(getattr(contour, name)[used] for name in contour.__dataclass_fields__))
            modes = some.between(all_modes)
        equations.add_points(
            slot, bone, contour.points[used], contour.directions[used], modes,
            weights[used], pulls[used], offset=True,
        )  # fmt: skip
        return far


def _inside(inner: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Which image points are shown, and not at the border."""
    rows, columns = inner.shape
    at = np.rint(image).astype(np.int64)
    found = (at >= 0).all(1) & (at[:, 0] < columns) & (at[:, 1] < rows)
    found[found] = inner[at[found, 1], at[found, 0]] > 3
    return found


def _match(
    contour: Contour, which: np.ndarray, points: np.ndarray, normals: np.ndarray, how: Matching
) -> tuple[np.ndarray, np.ndarray]:
    """Distances, mm of surface, from the contour's points outwards to image points; which count."""
    apart = points - contour.image[which]
    distance = (apart * contour.normals[which]).sum(1) / contour.pixels_per_mm[which]
    near = (apart**2).sum(1) < how.reach**2
    return distance, near & ((contour.normals[which] * normals).sum(1) > _LEAST_COSINE)


def _near_box(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = others.min(0) - _CONTACT_MM, others.max(0) + _CONTACT_MM
    return ((points > low) & (points < high)).all(1)


def add_contacts(equations: NormalEquations, knee: Knee) -> None:
    """Tibia and patella stay out of the femur."""
    bones = knee.state.model.bones
    for slot in knee.state.own_slots:
        whole, directions = knee.placed(slot, "femur")
        for bone in ("tibia", "patella"):
            points = knee.placed(slot, bone)[0][~bones[bone].rim]
            # Most of the shafts is far from the other bone's box.
            around = _near_box(whole, points)
            femur, outward = whole[around], directions[around]
            if not len(femur):
                continue
            points = points[_near_box(points, femur)]
            tree = cKDTree(femur, leafsize=32, balanced_tree=False)
            distance, nearest = tree.query(points, distance_upper_bound=_CONTACT_MM)
            near = np.isfinite(distance)
            points, nearest = points[near], nearest[near]
            normals = outward[nearest]
            lack = _CLEARANCE_MM - ((points - femur[nearest]) * normals).sum(1)
            deep = lack > 0
            if not deep.any():
                continue
            points, normals, lack = points[deep], normals[deep], lack[deep]
            weights = np.full(len(lack), 1 / _CLEARANCE_SD_MM**2 / max(len(lack), 4))
            # In one residual: a bone that is held where the other one lies now would brake all that
            # they do together, such as coming nearer along the rays.
            pushed = equations.motion_columns(slot, bone, points, normals)
            yielding = equations.motion_columns(slot, "femur", points, -normals)
            columns, rows = (np.concatenate(both, axis=-1) for both in zip(pushed, yielding))
            equations.add(columns, rows, weights, weights * lack)
