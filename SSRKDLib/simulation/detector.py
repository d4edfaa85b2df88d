"""From line integrals to what a detector counts, and back (NumPy).

Beer-Lambert's law for one effective energy; scatter and blur as smooth additions; Poisson
photon noise and Gaussian electronic noise.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: Scatter spreads over this fraction of the image's longer edge (standard deviation).
_SCATTER_SPREAD = 0.08
#: Least count before the logarithm: one photon or less was detected.
_LEAST_COUNT = 0.5


def detect(
    line_integral: np.ndarray,
    photons: float,
    electronic_sd: float,
    rng: np.random.Generator,
    scatter_fraction: float = 0.0,
    blur_px: float = 0.0,
) -> np.ndarray:
    """Detector counts behind a line integral.

    Args:
        line_integral: ``[rows, columns]``, natural log of I0/I.
        photons: mean count per pixel without an object.
        electronic_sd: standard deviation of the additive noise, counts.
        rng: the randomness.
        scatter_fraction: scatter / (scatter + primary), 0 to below 1, averaged over the object's
            shadow. Scatter has no detail: it is what the object removed from the beam and let
            escape, spread widely.
        blur_px: standard deviation of the focal spot's and detector's unsharpness, pixels.

    Returns:
        ``[rows, columns]`` float64 counts; may be slightly negative where the electronics are
        noisier than the beam is strong.

    Raises:
        ValueError: a parameter outside its range.
    """
    if photons <= 0 or electronic_sd < 0 or blur_px < 0 or not 0 <= scatter_fraction < 1:
        raise ValueError("photons > 0, electronic_sd >= 0, blur_px >= 0, 0 <= scatter_fraction < 1")
    line_integral = np.asarray(line_integral, dtype=np.float64)
    expected = photons * np.exp(-line_integral)
    if scatter_fraction:
        expected = expected + _scatter(line_integral, expected, scatter_fraction)
    if blur_px:
        expected = ndimage.gaussian_filter(expected, blur_px, mode="nearest")
    counts = rng.poisson(expected).astype(np.float64)
    return counts + electronic_sd * rng.standard_normal(counts.shape)


def _scatter(line_integral: np.ndarray, primary: np.ndarray, fraction: float) -> np.ndarray:
    shadow = line_integral > 0.05 * max(float(line_integral.max()), 1e-12)
    if not shadow.any():
        return np.zeros_like(primary)
    sigma = _SCATTER_SPREAD * max(primary.shape)
    born = primary * np.clip(line_integral, 0, None)
    shape = ndimage.gaussian_filter(born, sigma, mode="nearest")
    ratio = fraction / (1 - fraction)
    return shape * (ratio * primary[shadow].sum() / shape[shadow].sum())


def to_line_integral(counts: np.ndarray, photons: float, least: float = _LEAST_COUNT) -> np.ndarray:
    """Natural log of I0/I, ``[rows, columns]`` float64, from counts and the air count.

    Slightly negative in air, where noise lifts a count above the mean. Counts below ``least`` are
    taken as ``least``.
    """
    return -np.log(np.maximum(np.asarray(counts, dtype=np.float64), least) / photons)


#: Electronic noise of the detector, standard deviation in counts, and the least count, as in the
#: published code.
ELECTRONIC_NOISE, _PUBLISHED_LEAST = 10.0, 1.0


def noisy(line_integral: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """A natural line integral as a detector with so many photons in air measures it, float32: as
    the published code makes it."""
    counts = detect(line_integral, photons, ELECTRONIC_NOISE, rng)
    return to_line_integral(counts, photons, _PUBLISHED_LEAST).astype(np.float32)


def add_noise(
    transmitted: np.ndarray, photons: float, electronic_sd: float, rng: np.random.Generator
) -> np.ndarray:
    """The noise of :func:`detect` on the transmitted share of the beam, as a normal distribution of
    the same variance: several times as fast, and as good above some ten counts.

    Args:
        transmitted: ``[rows, columns]`` float32, I/I0.
        photons, electronic_sd, rng: see :func:`detect`.

    Returns:
        The measured share, of the same type; may be negative.
    """
    noise = np.sqrt(np.maximum(transmitted, 0) / photons + (electronic_sd / photons) ** 2)
    return transmitted + noise * rng.standard_normal(transmitted.shape, np.float32)
