"""The template fitted to a surface: a CT's segmentation, a field's surface, anybody's mesh.

Points of the surface are laid on the template, not the other way round, so that the surface may end
anywhere: what it does not show is not missed. First the mean bone is laid on it by rotation, shift
and size (iterated closest points, their normals agreeing, from all sides); then the shape model is
fitted by Gauss and Newton's steps; last, vertices go the rest of the way to the surface, smoothly,
so that bone which the model cannot express is still met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.rigid import moved_points, similarity_fit
from SSRKDLib.reconstruction.fitting.shape_model import BoneModel, knee_shape_model
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import sample_with_normals, surface_elements

#: Points that a surface is represented by, within this distance of the joint, mm.
_POINTS, _REACH_MM = 2500, 150.0

#: Millimetres that opposite normals count as when the nearest vertex is sought, and the least
#: cosine between normals of what belongs together.
_BEND_MM, _LEAST_COSINE = 10.0, 0.4

#: Turns about a bone's long axis that are tried, steps with each, how many are kept, and steps with
#: these.
_ROLLS, _ROLL_STEPS, _ROLLS_KEPT, _STEPS = 8, 6, 3, 15

#: Points that poses are found with.
_POSE_POINTS = 250

#: A bone so many times as long as wide tells its own axis.
_LONG = 2.0

#: A bone is between so many times as large as the mean one.
_SIZES = (0.65, 1.5)

#: Distances beyond which points count less and less, mm, step by step.
_SCALES_MM = (6.0, 6.0, 4.0, 2.5, 1.5, 1.5)

#: Standard deviation of a surface, mm, and the edge of a square of it that is one look, mm.
_SD_MM, _LOOK_MM = 0.4, 5.0

#: A vertex belongs to the surface where a point of it is no further, mm.
_NEAR_MM = 4.0

#: Times that the last displacement of vertices is averaged with that of their neighbours.
_SMOOTHINGS = 2


@dataclass(frozen=True, eq=False)
class SurfaceFit:
    """A bone's template on a surface.

    Attributes:
        points: ``[N, 3]`` where the template's vertices lie, mm, the surface's frame.
        shown: ``[N]`` bool, which of them the surface shows; the others are where the shape model
            expects them.
        distance: mean distance from the surface to the shape model's nearest one, mm.
        strangeness: root mean square of the shape's coefficients, standard deviations: up to about
            1 of bones, some of anything else.
    """

    points: np.ndarray
    shown: np.ndarray
    distance: float
    strangeness: float


def fit_surfaces(bones: Mapping[str, Mesh]) -> dict[str, SurfaceFit]:
    """Fit the template of every bone that there is.

    Args:
        bones: surfaces of a left knee, mm, in one frame, however they lie; femur or tibia among
            them. Shafts may end anywhere, open or closed.

    Returns:
        By bone; one of which there is too little is absent.

    Raises:
        MeshError: there is neither femur nor tibia.
    """
    bones = {bone: mesh for bone, mesh in bones.items() if mesh.area() > 0}
    long = [bone for bone in ("femur", "tibia") if bone in bones]
    if not long:
        raise MeshError("There is neither a femur nor a tibia.", "Give the surface of one.")
    if len(long) == 2:
        joint = joint_centre(bones)
    else:
        joint = _wide_end(bones[long[0]], bones.get("fibula", bones[long[0]]))
    clouds = {bone: _cloud(mesh, joint) for bone, mesh in bones.items()}
    clouds = {bone: cloud for bone, cloud in clouds.items() if len(cloud[0]) >= _POSE_POINTS}
    model, found = knee_shape_model(), _starts(clouds, joint)
    return {bone: _fitted(model.bones[bone], clouds[bone], pose) for bone, pose in found.items()}


def _wide_end(mesh: Mesh, slender: Mesh) -> np.ndarray:
    """The end of a long bone at which it is wider, (3,), along a slender bone's axis: a short piece
    of tibia is as wide as long, and the fibula tells where it leads. Which end that is, a whole
    tibia tells itself: the fibula's axis leaves its own so far that both ends may be equally far
    from it.
    """
    points, _ = surface_elements(mesh, 4.0)
    guide, _ = surface_elements(slender, 4.0)
    axis = np.linalg.svd(guide - guide.mean(0), full_matrices=False)[2][0]
    middle = points.mean(0)
    _, spread, axes = np.linalg.svd(points - middle, full_matrices=False)
    own = axes[0] if spread[0] > _LONG * spread[1] else axis
    along = (points - middle) @ own
    third = np.ptp(along) / 3
    upper = _girth(points[along > along.max() - third], own)
    lower = _girth(points[along < along.min() + third], own)
    axis = axis * np.sign(axis @ own) * (1 if upper > lower else -1)
    return middle + ((points - middle) @ axis).max() * axis


def _girth(points: np.ndarray, axis: np.ndarray) -> float:
    """Mean distance of points from the line along a unit axis through their middle."""
    apart = points - points.mean(0)
    return float(np.linalg.norm(apart - (apart @ axis)[:, None] * axis, axis=1).mean())


_Cloud = tuple[np.ndarray, np.ndarray]


def _cloud(mesh: Mesh, joint: np.ndarray) -> _Cloud:
    """Points of a surface near the joint, and normals there."""
    middles = mesh.corners().mean(axis=1)
    near = Mesh(mesh.vertices, mesh.faces[np.linalg.norm(middles - joint, axis=1) < _REACH_MM])
    if not near.area():
        return np.empty((0, 3)), np.empty((0, 3))
    return sample_with_normals(near, _POINTS / near.area(), np.random.default_rng(0))


@cache
def _mean_bone(bone: str) -> tuple[cKDTree, np.ndarray]:
    part = knee_shape_model().bones[bone]
    normals = part.normals(part.mean)
    return cKDTree(np.hstack([part.mean, _BEND_MM * normals])), normals


def _starts(clouds: Mapping[str, _Cloud], joint: np.ndarray) -> dict[str, np.ndarray]:
    """By bone the similarity 4x4 from the template to the surface."""
    means = {bone: part.mean for bone, part in knee_shape_model().bones.items()}
    first = next((bone for bone in ("femur", "tibia") if bone in clouds), None)
    if first is None:
        return {}
    # The template's joint is its origin. A bone leaves it along its axis, turned about it somehow.
    middle = means[first].mean(0)
    place = _pose(middle, clouds[first][0].mean(0) - joint, joint)
    found = []
    for turn in np.arange(_ROLLS) * (2 * np.pi / _ROLLS):
        roll = np.eye(4)
        roll[:3, :3] = Rotation.from_rotvec(turn * _unit(middle)).as_matrix()
        found.append(_approach(first, clouds[first], place @ roll, _ROLL_STEPS))
    best = sorted(found, key=lambda one: one[1])[:_ROLLS_KEPT]
    found = [_approach(first, clouds[first], pose, _STEPS) for pose, _ in best]
    poses = {first: min(found, key=lambda one: one[1])[0]}
    if first == "femur" and "tibia" in clouds:
        # As the femur tells, turned to where the tibia leaves the joint.
        axes = poses["femur"][:3, :3] / np.cbrt(np.linalg.det(poses["femur"][:3, :3]))
        towards = axes.T @ (clouds["tibia"][0].mean(0) - joint)
        start = poses["femur"] @ _pose(means["tibia"].mean(0), towards, np.zeros(3))
        start[:3, 3] = joint
        poses["tibia"] = _approach("tibia", clouds["tibia"], start, _STEPS)[0]
    for bone, parent in (("patella", "femur"), ("fibula", "tibia")):
        if bone in clouds:
            start = poses.get(parent, poses[first]).copy()
            if bone == "patella":
                middle = moved_points(start, means[bone].mean(0))
                start[:3, 3] += clouds[bone][0].mean(0) - middle
            poses[bone] = _approach(bone, clouds[bone], start, _STEPS)[0]
    return poses


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(np.linalg.norm(vector), 1e-9)


def _pose(axis: np.ndarray, direction: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """The rigid 4x4 with the smallest turn that lays an axis on a direction."""
    axis, direction = _unit(axis), _unit(direction)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.align_vectors([direction], [axis])[0].as_matrix()
    matrix[:3, 3] = origin
    return matrix


def _approach(bone: str, cloud: _Cloud, pose: np.ndarray, steps: int) -> tuple[np.ndarray, float]:
    """Iterated closest points of the mean bone: the similarity, and the mean distance left, mm."""
    tree, normals = _mean_bone(bone)
    mean, rim = (getattr(knee_shape_model().bones[bone], name) for name in ("mean", "rim"))
    each = max(1, len(cloud[0]) // _POSE_POINTS)
    points, directions = cloud[0][::each], cloud[1][::each]
    far = np.inf
    for _ in range(steps):
        local, outward = _into(pose, points, directions)
        nearest = tree.query(np.hstack([local, _BEND_MM * outward]))[1]
        apart = np.linalg.norm(local - mean[nearest], axis=1)
        size = np.cbrt(np.linalg.det(pose[:3, :3]))
        far = size * float(np.minimum(apart, 20.0).mean())
        good = ((normals[nearest] * outward).sum(1) > 0) & ~rim[nearest]
        good &= apart <= max(np.quantile(apart, 0.9), 2.0)
        if good.sum() < 20:
            return pose, np.inf
        pose = similarity_fit(mean[nearest[good]], points[good])
        size = np.cbrt(np.linalg.det(pose[:3, :3]))
        within = np.clip(size, *_SIZES) / size
        middle = points[good].mean(0)
        pose[:3, :3] *= within
        pose[:3, 3] = middle + within * (pose[:3, 3] - middle)
    return pose, far


def _into(
    pose: np.ndarray, points: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points and unit directions of the surface's frame in a template's."""
    back = np.linalg.inv(pose)
    turned = directions @ back[:3, :3].T
    return moved_points(back, points), turned / np.linalg.norm(turned, axis=1, keepdims=True)


def _fitted(bone: BoneModel, cloud: _Cloud, pose: np.ndarray) -> SurfaceFit:
    points, directions = _into(pose, *cloud)
    size = np.cbrt(np.linalg.det(pose[:3, :3]))
    area = Mesh(bone.mean, bone.faces).area() / _POINTS  # mm^2 that a point stands for, or so
    coefficients, motion = np.zeros(bone.modes.shape[2]), np.eye(4)
    for scale in _SCALES_MM:
        shape = bone.shape(coefficients)
        normals = bone.normals(shape)
        local, outward = _into(motion, points, directions)
        nearest, distance, good = _matches(bone, shape, normals, local, outward)
        weights = area / _LOOK_MM**2 / _SD_MM**2 / (1 + (distance * size / scale) ** 2) ** 2
        weights = np.where(good, weights, 0.0)
        arms = shape[nearest]
        modes = (outward.astype(np.float32)[:, None] @ bone.modes[nearest])[:, 0]
        rows = np.hstack([modes, np.cross(arms, outward), outward])
        matrix = rows.T @ (weights[:, None] * rows) + 1e-6 * np.eye(rows.shape[1])
        side = rows.T @ (weights * distance)
        count = np.arange(len(coefficients))
        matrix[count, count] += 1.0
        side[count] -= coefficients
        step = np.linalg.solve(matrix, side)
        coefficients = coefficients + step[count]
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec(step[-6:-3]).as_matrix()
        turn[:3, 3] = step[-3:]
        motion = motion @ turn
    shape = bone.shape(coefficients)
    normals = bone.normals(shape)
    local, outward = _into(motion, points, directions)
    _, distance, good = _matches(bone, shape, normals, local, outward)
    shape, shown = _drawn(bone, shape, normals, local, outward)
    left = float(np.abs(distance[good]).mean() * size) if good.any() else np.inf
    strangeness = float(np.sqrt(np.mean(coefficients**2)))
    return SurfaceFit(moved_points(pose @ motion, shape), shown, left, strangeness)


def _matches(
    bone: BoneModel, shape: np.ndarray, normals: np.ndarray, points: np.ndarray, outward: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For points of the surface: the nearest vertex, how far it lies inside, and which count."""
    tree = cKDTree(np.hstack([shape, _BEND_MM * normals]))
    nearest = tree.query(np.hstack([points, _BEND_MM * outward]))[1]
    distance = ((points - shape[nearest]) * outward).sum(1)
    good = ((normals[nearest] * outward).sum(1) > _LEAST_COSINE) & ~bone.rim[nearest]
    return nearest, distance, good


def _drawn(
    bone: BoneModel, shape: np.ndarray, normals: np.ndarray, points: np.ndarray, outward: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices drawn along their normals to the surface, smoothly, and which of them it shows."""
    tree = cKDTree(np.hstack([points, _BEND_MM * outward]))
    nearest = tree.query(np.hstack([shape, _BEND_MM * normals]), k=3)[1]
    apart = points[nearest] - shape[:, None]
    far = np.linalg.norm(apart, axis=2)
    agree = (outward[nearest] * normals[:, None]).sum(2)
    shown = (far[:, 0] < _NEAR_MM) & (agree[:, 0] > _LEAST_COSINE) & ~bone.rim
    weights = np.where((far < 2 * _NEAR_MM) & (agree > _LEAST_COSINE), 1 / (far + 0.5), 0.0)
    heights = (apart * outward[nearest]).sum(2) / np.maximum(agree, _LEAST_COSINE)
    by_vertex = (weights * heights).sum(1) / np.maximum(weights.sum(1), 1e-9)
    by_vertex = np.where(shown, np.clip(by_vertex, -_NEAR_MM, _NEAR_MM), 0.0)
    average = _averaging(bone, shown)
    for _ in range(_SMOOTHINGS):
        by_vertex = average @ by_vertex
    return shape + by_vertex[:, None] * normals, shown


def _averaging(bone: BoneModel, among: np.ndarray) -> csr_matrix:
    """Means of a vertex, twice, and its neighbours; of those among some."""
    count = len(bone.mean)
    edges = np.concatenate([bone.edges, bone.edges[:, ::-1]])
    edges = edges[among[edges].all(1)]
    links = csr_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    links = links + diags(2.0 * among)
    return diags(1 / np.maximum(links @ np.ones(count), 1e-9)) @ links
