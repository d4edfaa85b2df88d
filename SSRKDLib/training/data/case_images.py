"""From a prepared case to the images that the published networks are trained on: noise, z-crop.

Images are made by the function that inference calls
(:func:`SSRKDLib.radiographs.published_input.published_input`), so a network is trained on what it
reads later, whatever detector the cases were prepared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SSRKDLib.datasets.case_cache import CaseRadiographs
from SSRKDLib.geometry.views import View
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import framed_labels
from SSRKDLib.radiographs.published_input import WHOLE_HEIGHT, PublishedInput, published_input
from SSRKDLib.simulation.detector import noisy


@dataclass(frozen=True)
class CaseImages:
    """Two radiographs of a case as the published networks read them.

    Attributes:
        input: the images; lateral first.
        bits: ``[2, n, n]`` uint8 as in ``CaseRadiographs.bits``, 0 where nothing is known; None for
            unlabelled cases.
    """

    input: PublishedInput
    bits: np.ndarray | None


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


def case_images(
    case: CaseRadiographs,
    taken: tuple[Exposure, Exposure],
    indices: tuple[int, int],
    frame: np.ndarray,
    pixels: int,
    pixel_mm: float,
    z_crop: tuple[float, float] = WHOLE_HEIGHT,
) -> CaseImages:
    """Two radiographs of a case, and where the bones are on them.

    Args:
        case: whose radiographs they are.
        taken: from :func:`exposures`.
        indices: of the views.
        frame: 4x4, frame mm to case mm.
        pixels, pixel_mm, z_crop: see
            :func:`~SSRKDLib.radiographs.published_input.published_input`.
    """
    images = published_input(taken, frame, pixels, pixel_mm, z_crop)
    if case.bits is None:
        return CaseImages(images, None)
    bits = [
        framed_labels(case.bits[indices[c.index]], case.views[indices[c.index]], c, frame)
        for c in images.cameras
    ]
    return CaseImages(images, images.cut(np.stack(bits)))


def visible(views: tuple[View, ...], points: np.ndarray) -> np.ndarray:
    """Which points ``[N, 3]`` every view shows, bool ``[N]``."""
    return np.all([view.inside(points) for view in views], axis=0)
