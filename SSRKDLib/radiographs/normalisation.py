"""From a line integral to the channels that the networks read."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

#: What bundles call :func:`network_channels`.
LOCAL_CONTRAST = "local-contrast-1"
#: Every name of it: the first bundles had the function's place instead.
LOCAL_CONTRAST_NAMES = (LOCAL_CONTRAST, "SSRKDLib.radiographs.intensity.network_channels")

#: Standard deviation of the window of the local contrast normalisation, mm on the detector.
CONTRAST_SIGMA_MM = 12.0


def _percentiles(values: np.ndarray, *which: float) -> np.ndarray:
    """Percentiles; a fixed stride makes those of a full-size radiograph as cheap as of a crop."""
    return np.percentile(values[:: max(1, values.size // 200_000)], which)


def network_channels(
    line_integral: np.ndarray,
    valid: np.ndarray,
    pixel_mm: float | tuple[float, float],
) -> np.ndarray:
    """What the networks see of a radiograph: the same for a raw and a presentation image.

    Channel 0 is the line integral with its 1st and 99th percentiles over the valid pixels brought
    to 0 and 1, clipped to [-0.5, 1.5]. Channel 1 is its local contrast, ``(x - mean) / (std + 0.1 *
    std of the image)`` in a Gaussian window of :data:`CONTRAST_SIGMA_MM` that sees valid pixels
    only, clipped to [-3, 3] and halved: it hardly changes under a smooth monotone display curve.

    Args:
        line_integral: ``[rows, columns]``; any unit, bone brighter than air.
        valid: ``[rows, columns]`` bool, False outside the collimated field.
        pixel_mm: pixel spacing, or (between columns, between rows).

    Returns:
        float32 ``[2, rows, columns]``, zero where invalid. All zero for an image without contrast.
    """
    image = np.asarray(line_integral, dtype=np.float32)
    valid = np.asarray(valid, dtype=bool) & np.isfinite(image)
    channels = np.zeros((2, *image.shape), dtype=np.float32)
    inside = image[valid]
    if inside.size == 0:
        return channels
    low, high = _percentiles(inside, 1, 99)
    if not high > low:
        return channels
    scaled = (image - np.float32(low)) * np.float32(1 / (high - low))
    # Clipped before the statistics are taken: a wire or a dead pixel must not flatten its window.
    channels[0] = np.where(valid, np.clip(scaled, -0.5, 1.5), 0)
    channels[1] = _local_contrast(channels[0], valid, pixel_mm)
    return channels


def _local_contrast(
    image: np.ndarray, valid: np.ndarray, pixel_mm: float | tuple[float, float]
) -> np.ndarray:
    """Channel 1 of :func:`network_channels`; ``image`` is zero where invalid.

    The window is evaluated on a grid of a third of its sigma or finer. No matrix product here: BLAS
    threads fighting for busy cores once made it ten times slower.
    """
    sigmas = CONTRAST_SIGMA_MM / np.broadcast_to(np.asarray(pixel_mm, dtype=np.float64), 2)[::-1]
    blocks = [int(np.clip(s / 3, 1, max(1, n // 4))) for s, n in zip(sigmas, image.shape)]

    def window(values: np.ndarray) -> np.ndarray:
        """Gaussian-weighted sums on the coarse grid, nothing beyond the image."""
        for axis, block in enumerate(blocks):
            values = np.add.reduceat(values, np.arange(0, values.shape[axis], block), axis)
        return gaussian_filter(values, sigmas / blocks, mode="constant")

    weight = valid.astype(np.float32)
    count = float(weight.sum())
    # Centred on the image's mean, so that float32 does not lose the variance.
    centred = (image - np.float32(image.sum(dtype=np.float64) / count)) * weight
    squared = centred * centred
    spread = float(np.sqrt(squared.sum(dtype=np.float64) / count))
    total = np.maximum(window(weight), 1e-6)
    mean = window(centred) / total
    deviation = np.sqrt(np.maximum(window(squared) / total - mean * mean, 0))
    for axis, (block, length) in enumerate(zip(blocks, image.shape)):
        mean = _spread(mean, axis, block, length)
        deviation = _spread(deviation, axis, block, length)
    contrast = (centred - mean) / (deviation + np.float32(0.1 * spread + 1e-6))
    return np.clip(contrast, -3, 3) * (0.5 * weight)


def _spread(coarse: np.ndarray, axis: int, block: int, length: int) -> np.ndarray:
    """Linear interpolation along an axis, from blocks of ``block`` pixels to ``length`` pixels."""
    if block == 1 or coarse.shape[axis] == 1:
        return coarse if block == 1 else np.repeat(coarse, length, axis)
    position = (np.arange(length, dtype=np.float32) - (block - 1) / 2) / block
    left = np.clip(position.astype(np.intp), 0, coarse.shape[axis] - 2)
    fraction = np.clip(position - left, 0, 1).astype(np.float32)
    low, high = np.take(coarse, left, axis), np.take(coarse, left + 1, axis)
    return low + (high - low) * (fraction[:, None] if axis == 0 else fraction)
