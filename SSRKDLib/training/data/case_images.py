"""From a prepared case to the images that networks learn from: noise, framing, the z-crop.

Images are taken by the virtual cameras that reconstruction uses
(:mod:`SSRKDLib.radiographs.network_input`), so what a network learns from is what it is asked
about later, whatever detector the cases were prepared with. A z-crop is a camera whose rows cover
less of the leg: points still reach it through its own projection matrix. (The published code
    scales heights instead, which ignores perspective.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.datasets.case_cache import CaseRadiographs
from SSRKDLib.geometry.views import View
from SSRKDLib.geometry.virtual_cameras import Camera, frame_cameras
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import sample
from SSRKDLib.radiographs.published_input import seen_from_source
from SSRKDLib.simulation.detector import noisy


@dataclass(frozen=True)
class Picture:
    """One radiograph as a virtual camera sees it.

    Attributes:
        line_integral: ``[rows, columns]`` float32, natural, noisy; 0 where not seen.
        seen: bool, the same shape.
        bits: uint8, the same shape, as in ``CaseRadiographs.bits``; None for unlabelled cases.
        camera: frame coordinates (see :func:`pictures`).
    """

    line_integral: np.ndarray
    seen: np.ndarray
    bits: np.ndarray | None
    camera: Camera


def exposures(
    case: CaseRadiographs,
    indices: tuple[int, int],
    photons: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Exposure, Exposure]:
    """Two views of a case with noise.

    Args:
        case: what was prepared.
        indices: which views.
        photons: in air, lowest and highest; drawn evenly on a logarithmic scale.
        rng: the randomness.
    """
    dose = np.exp(rng.uniform(*np.log(photons)))
    return tuple(
        Exposure(
            case.views[k],
            noisy(np.asarray(case.images[k]) * case.unit, dose, rng),
            np.ones(case.images.shape[1:], bool),
        )
        for k in indices
    )


def random_z_crop(shares: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    """Share of the image's height to keep, and how far (of the height, from the middle) what is
    kept lies from the middle."""
    share = rng.uniform(*shares)
    return share, rng.uniform(-0.5, 0.5) * (1 - share)


def pictures(
    case: CaseRadiographs,
    taken: tuple[Exposure, Exposure],
    indices: tuple[int, int],
    frame: np.ndarray,
    pixels: int,
    pixel_mm: float,
    z_crop: tuple[float, float] = (1.0, 0.0),
) -> tuple[Picture, Picture]:
    """What the published networks see of two radiographs, the view along x (lateral) first.

    Args:
        case: whose radiographs they are.
        taken: from :func:`exposures`.
        indices: of the views.
        frame: 4x4, frame mm to case mm: about the origin of the one the images are centred, and
            its z axis is up.
        pixels: rows and columns.
        pixel_mm: size of a pixel at the frame's origin.
        z_crop: from :func:`random_z_crop`; rows stay as many and become finer.
    """
    reduced = [exposure.reduced(pixel_mm, frame[:3, 3]) for exposure in taken]
    frontal, lateral = frame_cameras(tuple(e.view for e in reduced), frame, pixels, pixel_mm)
    own = [case.views[k].transformed(np.linalg.inv(frame)) for k in indices]
    found = []
    for camera in (lateral, frontal):
        view = _cropped(seen_from_source(camera.view), *z_crop)
        camera = replace(camera, view=view)
        exposure = reduced[camera.index]
        line, seen = sample(exposure.line_integral, exposure.valid, camera)
        bits = None
        if case.bits is not None:
            stored = case.bits[indices[camera.index]]
            # Bits cannot be averaged: each pixel takes the nearest of the full resolution.
            full = replace(camera, real=own[camera.index])
            bits = sample(stored, np.ones(stored.shape, bool), full, order=0)[0]
        found.append(Picture(line, seen, bits, camera))
    return found[0], found[1]


def visible(views: tuple[View, ...], points: np.ndarray) -> np.ndarray:
    """Which points ``[N, 3]`` every view shows, bool ``[N]``."""
    return np.all([view.inside(points) for view in views], axis=0)


def _cropped(view: View, share: float, offset: float) -> View:
    """The view with as many rows over a share of its height, ``offset`` heights from its middle."""
    columns, rows = view.size
    spacing = view.pixel_spacing[1]
    # Edges are half a pixel beyond the centres of the first and last row.
    top = (offset + (1 - share) / 2) * rows * spacing
    first = top + (share - 1) * spacing / 2
    return replace(
        view,
        detector_origin=view.detector_origin + first * view.row_direction,
        pixel_spacing=(view.pixel_spacing[0], spacing * share),
    )
