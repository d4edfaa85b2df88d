"""Knees of the fit's own shape model and their exact masks, for tests of the fit."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import rigid_fit
from SSRKDLib.geometry.centred_views import view_from_angles
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.geometry.views import View
from SSRKDLib.geometry.virtual_cameras import frame_cameras
from SSRKDLib.reconstruction.fitting.fit import Views
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.state import FitState
from SSRKDLib.simulation.random_shape import FLEXION_CENTRE

_OBLIQUE = view_from_angles("oblique", 45.0, 1200.0, 900.0, (256, 256), (1.17, 1.17))
_CAMERAS = frame_cameras((*orthogonal().views, _OBLIQUE), np.eye(4), 192, 1.15)

#: The virtual cameras of the orthogonal rig and of an oblique view, in the world that fits refer
#: to.
VIEWS: tuple[View, ...] = tuple(camera.view for camera in _CAMERAS)


def random_shape(seed: int) -> np.ndarray:
    """Coefficients of a person whom nobody has seen, not the strangest."""
    return 0.7 * np.random.default_rng(seed).normal(size=knee_shape_model().components)


def knee(coefficients: np.ndarray, *poses: dict[str, np.ndarray]) -> FitState:
    """A knee in one pose, or in one for each view."""
    if len(poses) == 1:
        return FitState(knee_shape_model(), coefficients, poses * 2, (0, 0))
    return FitState(knee_shape_model(), coefficients, poses, tuple(range(len(poses))))


def bent(degrees: float, leg: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Poses of a knee that is flexed about the condyles' axis, its patella half as much; the leg as
    a whole moved by a 4x4."""
    leg = np.eye(4) if leg is None else leg
    shares = {"patella": 0.5, "femur": 0.0, "fibula": 1.0, "tibia": 1.0}
    poses = {}
    for bone, share in shares.items():
        turn = Rotation.from_euler("x", share * degrees, degrees=True).as_matrix()
        poses[bone] = np.eye(4)
        poses[bone][:3, :3] = turn
        poses[bone][:3, 3] = FLEXION_CENTRE - turn @ FLEXION_CENTRE
        poses[bone] = leg @ poses[bone]
    return poses


def turned_leg(degrees: tuple[float, float, float], shift: tuple[float, float, float]):
    """4x4 of a leg that is turned about the joint (patient axes, degrees) and moved (mm)."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def exact_views(state: FitState, **changed) -> Views:
    """What the first of :data:`VIEWS` show of a knee, as many as it has poses, as a perfect
    segmenter would mark it."""
    cameras = _CAMERAS[: len(state.poses)]
    masks = [
        [
            ndimage.gaussian_filter(
                silhouette(state.points(bone, slot), state.model.bones[bone].faces, view)
                .astype(np.float32), 0.7,
            )
            for bone in BONES
        ]
        for slot, view in enumerate(camera.view for camera in cameras)
    ]  # fmt: skip
    masks = np.array(masks)
    known = {
        "views": tuple(camera.view for camera in cameras),
        "masks": masks,
        "valid": np.ones((len(masks), *masks.shape[2:]), bool),
        "film_normals": tuple(camera.real.normal for camera in cameras),
    }
    return Views(**{**known, **changed})


def turn_error(found: FitState, true: FitState, slot: int) -> np.ndarray:
    """Degrees ``(3,)`` about the femur's axes that the tibia is turned further against it than in
    truth, by the surfaces; about x it is bent."""
    turns = {}
    for bone in ("femur", "tibia"):
        points = true.points(bone, slot)
        near = np.linalg.norm(points - points.mean(0), axis=1) < 70
        turns[bone] = rigid_fit(points[near], found.points(bone, slot)[near])[:3, :3]
    axes = true.poses[slot]["femur"][:3, :3]
    between = axes.T @ turns["femur"].T @ turns["tibia"] @ axes
    return Rotation.from_matrix(between).as_rotvec(degrees=True)


def flexion_error(found: FitState, true: FitState, slot: int) -> float:
    """Degrees that the tibia is bent further against the femur than in truth."""
    return float(turn_error(found, true, slot)[0])


def mean_distance(found: FitState, true: FitState, bone: str, slot: int) -> float:
    """Mean distance of corresponding vertices within 80 mm of the joint, along the true normals,
    mm: sliding along the surface is no error of it."""
    part = true.model.bones[bone]
    points = true.points(bone, slot)
    apart = found.points(bone, slot) - points
    near = (np.abs(points) < 80).all(1)
    return float(np.abs((apart * part.normals(points)).sum(1))[near].mean())
