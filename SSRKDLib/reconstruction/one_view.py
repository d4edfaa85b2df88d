"""What one radiograph tells of where a knee lies; its distance and the rest are the rig's and the
population's."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.geometry.virtual_cameras import FRAME_POINTS, REACH
from SSRKDLib.models.interface import BoneField
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import NetworkInput
from SSRKDLib.reconstruction.choices import VIEW_NAMES
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.frame_quality import judged_points

#: Standard deviations: of the locator's marks, mm at the joint, of how a leg is turned against what
#: is said of it, degrees, and of its distance, mm.
_MARK_MM, _TURN, _DISTANCE_MM = 4.0, 10.0, 20.0

#: The field of the mean knee is cut off at this distance, as the student's is, mm.
_CUT_OFF_MM = 12.0


def middle_of_one(exposure: Exposure, rig: Rig) -> np.ndarray:
    """Where the ray through the middle of the exposed area is as far from the source as the rig
    says that the knee is, ``(3,)`` mm.

    Raises:
        GeometryError: the rig puts the knee behind the source or the detector.
    """
    view = exposure.view
    depth = float(view.depths(rig.central_point()))
    if not 0 < depth < 1:
        raise GeometryError(
            "According to the rig, the knee is not between source and detector.",
            "Check the rig: of one view, the patient's origin tells how far the knee is away.",
        )
    on_detector = view.points_on_detector(np.argwhere(exposure.valid).mean(0)[::-1])
    source = view.focal_spots(on_detector)
    return source + depth * (on_detector - source)


def marked_points(model: KneeModel, overview: NetworkInput) -> np.ndarray:
    """(column, row) ``[views, 5, 2]`` of the frame points in wide images. The locator reads each
    view by itself; of one view the other's image is empty."""
    slots = [VIEW_NAMES.index(camera.view.name) for camera in overview.cameras]
    images = np.zeros((len(VIEW_NAMES), *overview.images.shape[1:]), np.float32)
    images[slots] = overview.images
    return model.locate(images)[slots]


def step_of_one(view: View, marks: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, float]:
    """The rigid motion of the frame points that agrees best with their marks in one view and with
    what is expected.

    Args:
        view: virtual, in the coordinates of the points.
        marks: ``[5, 2]`` (column, row).
        expected: 4x4, the motion that is expected: turned and far away as the rig says.

    Returns:
        The 4x4, and the rms distance of the points from the rays of their marks, mm.
    """
    ray = view.axis

    def motion(unknown: np.ndarray) -> np.ndarray:
        small = np.eye(4)
        small[:3, :3] = Rotation.from_rotvec(unknown[:3]).as_matrix()
        moved = expected @ small
        moved[:3, 3] += unknown[3:]
        return moved

    def off(unknown: np.ndarray) -> np.ndarray:
        image_points = view.project(moved_points(motion(unknown), FRAME_POINTS))
        return (np.nan_to_num(image_points, nan=1e3) - marks) * view.pixel_spacing[0]

    def residuals(unknown: np.ndarray) -> np.ndarray:
        turned = np.rad2deg(unknown[:3]) / _TURN
        return np.concatenate(
            [off(unknown).ravel() / _MARK_MM, turned, [ray @ unknown[3:] / _DISTANCE_MM]]
        )

    found = least_squares(residuals, np.zeros(6), x_scale=(*3 * (0.1,), *3 * (10.0,))).x
    return motion(found), float(np.sqrt((off(found) ** 2).sum(1).mean()))


@lru_cache(maxsize=1)
def mean_knee_field() -> BoneField:
    """The population's mean knee in its canonical frame, as a field: what is expected of a knee in
    one radiograph, in place of a network's."""
    bones = []
    for bone in BONES:
        part = knee_shape_model().bones[bone]
        bones.append((cKDTree(part.mean), part.mean, part.normals(part.mean)))

    def query(points: np.ndarray) -> np.ndarray:
        values = np.empty((len(points), len(BONES)), np.float32)
        for k, (tree, vertices, normals) in enumerate(bones):
            near = tree.query(points, workers=1)[1]
            inside = np.einsum("ni,ni->n", vertices[near] - points, normals[near])
            far = np.linalg.norm(vertices[near] - points, axis=1)
            values[:, k] = np.clip(np.where(inside > 0, far, -far), -_CUT_OFF_MM, _CUT_OFF_MM)
        return values

    return BoneField(query, "metric", -REACH, REACH, where_judged=query(judged_points()))
