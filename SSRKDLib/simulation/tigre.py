"""Projection by TIGRE (https://github.com/CERN/TIGRE) on a GPU, where it is installed.

TIGRE's frame, from its CUDA sources (``computeDeltas``): the volume's axes are x, y, z and its
centre lies at ``offOrigin``; the source is ``R (DSO, 0, 0)`` and the detector's middle
``R (DSO - DSD, offU, offV)``, with ``R = Rz(alpha) Ry(theta) Rz(psi)``; columns grow along
``R (0, 1, 0)``, rows along ``R (0, 0, 1)``. The origin may be chosen anywhere along the
perpendicular from the source to the detector, so every flat detector in any pose has a form without
``rotDetector``: :func:`express` finds it, and checks what it found.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from dataclasses import dataclass

import numpy as np
import torch

from SSRKDLib.geometry.slot_view import SlotView
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation.joseph import Volume

#: How far, in pixels, a detector corner may lie from where the view has it.
_TOLERANCE = 0.01


@dataclass(frozen=True)
class TigreView:
    """A view and a volume in TIGRE's terms (mm, radians).

    Attributes:
        dsd, dso: source to detector plane, source to TIGRE's origin.
        angles: alpha, theta, psi (Euler ZYZ).
        off_origin: (x, y, z) of the volume's centre.
        off_detector: (u, v) of the detector's middle.
        flip_rows: TIGRE's image has to be turned upside down.
    """

    dsd: float
    dso: float
    angles: tuple[float, float, float]
    off_origin: np.ndarray
    off_detector: np.ndarray
    flip_rows: bool


@functools.lru_cache(maxsize=1)
def available() -> bool:
    """Whether TIGRE can be imported and sees a GPU."""
    if importlib.util.find_spec("tigre") is None:
        return False
    try:
        from tigre.utilities.gpu import GpuIds

        return len(GpuIds()) > 0
    except (ImportError, OSError):
        # Installed without its compiled part, or without a CUDA driver.
        return False


def project(volume: Volume, view: View) -> torch.Tensor | None:
    """Line integrals by TIGRE's interpolating projector, ``[rows, columns]`` float32.

    None where TIGRE cannot express the volume or the view (see :func:`express`).
    """
    form = express(volume, view)
    if form is None:
        return None
    import tigre

    values = volume.values.detach()
    columns, rows = view.size
    geometry = tigre.geometry()
    geometry.DSD, geometry.DSO = form.dsd, form.dso
    geometry.nDetector = np.array([rows, columns])
    geometry.dDetector = np.array(view.pixel_spacing[::-1])
    geometry.sDetector = geometry.nDetector * geometry.dDetector
    geometry.nVoxel = np.array(values.shape)
    geometry.dVoxel = np.full(3, volume.spacing.mean())
    geometry.sVoxel = geometry.nVoxel * geometry.dVoxel
    geometry.offOrigin = form.off_origin[::-1].copy()
    geometry.offDetector = form.off_detector[::-1].copy()
    geometry.rotDetector = np.zeros(3)
    geometry.accuracy = 0.5
    image = tigre.Ax(
        np.ascontiguousarray(values.cpu().numpy(), dtype=np.float32),
        geometry,
        np.array([form.angles], dtype=np.float32),
        projection_type="interpolated",
    )[0]
    image = image[::-1] if form.flip_rows else image
    return torch.from_numpy(np.array(image)).to(volume.values)


def express(volume: Volume, view: View) -> TigreView | None:
    """A view of a volume in TIGRE's terms, or None where TIGRE has none.

    None for: a slot scanner's view, voxels that are not cubes or a sheared grid (TIGRE's volumes
    are boxes, and its shortcut past empty space assumes cubes), a source within the volume's reach
    (the same shortcut), and detector axes that are not perpendicular to a hundredth of a pixel.
    """
    if isinstance(view, SlotView):
        return None
    spacing = volume.spacing
    axes = volume.index_to_world[:3, :3] / spacing
    cubes = np.ptp(spacing) <= 1e-4 * spacing.mean()
    if not cubes or not np.allclose(axes.T @ axes, np.eye(3), atol=1e-5):
        return None
    # A mirrored grid mirrors the view with it: in the grid's own axes nothing else changes.
    source = (view.source - volume.centre) @ axes
    middle = (view.detector_centre - volume.centre) @ axes
    towards = -view.normal @ axes
    u, row = view.column_direction @ axes, view.row_direction @ axes
    v = np.cross(towards, u)
    flip_rows = bool(v @ row < 0)
    dso = float(source @ towards)
    off_origin = dso * towards - source
    half = np.array(volume.values.shape[::-1]) * spacing / 2
    if dso <= np.linalg.norm(half + np.abs(off_origin)):
        return None
    rotation = np.stack([towards, u, v], axis=1)
    form = TigreView(
        dsd=view.source_to_detector_distance,
        dso=dso,
        angles=_euler_zyz(rotation),
        off_origin=off_origin,
        off_detector=np.array([(middle - source) @ u, (middle - source) @ v]),
        flip_rows=flip_rows,
    )
    return form if _agrees(form, view, volume, axes) else None


def _euler_zyz(rotation: np.ndarray) -> tuple[float, float, float]:
    """alpha, theta, psi with ``Rz(alpha) Ry(theta) Rz(psi)`` the rotation."""
    (x_axis, _, z_axis) = rotation.T
    tilt = math.hypot(z_axis[0], z_axis[1])
    theta = math.atan2(tilt, z_axis[2])
    if tilt > 1e-9:
        psi = math.atan2(rotation[2, 1], -rotation[2, 0])
        return math.atan2(z_axis[1], z_axis[0]), theta, psi
    # Rows along the volume's z: only alpha + psi counts, and TIGRE is faster where psi is 0.
    sign = 1.0 if z_axis[2] > 0 else -1.0
    return math.atan2(sign * x_axis[1], sign * x_axis[0]), 0.0 if sign > 0 else math.pi, 0.0


def _agrees(form: TigreView, view: View, volume: Volume, axes: np.ndarray) -> bool:
    """Whether the form puts source and detector corners where the view has them."""
    alpha, theta, psi = form.angles
    rotation = _about_z(alpha) @ _about_y(theta) @ _about_z(psi)
    columns, rows = view.size
    corners = np.array([[c, r] for c in (0, columns - 1) for r in (0, rows - 1)], np.float64)
    v_sign = -1 if form.flip_rows else 1
    u = (corners[:, 0] - (columns - 1) / 2) * view.pixel_spacing[0] + form.off_detector[0]
    v = v_sign * (corners[:, 1] - (rows - 1) / 2) * view.pixel_spacing[1] + form.off_detector[1]
    points = np.column_stack([np.full(4, form.dso - form.dsd), u, v]) @ rotation.T
    points = np.concatenate([points, [rotation @ [form.dso, 0, 0]]]) - form.off_origin
    expected = np.concatenate([view.points_on_detector(corners), view.source[None]])
    expected = (expected - volume.centre) @ axes
    return bool(np.abs(points - expected).max() < _TOLERANCE * min(view.pixel_spacing))


def _about_z(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _about_y(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
