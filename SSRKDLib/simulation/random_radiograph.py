"""Random radiographs from path lengths: spectrum, tissue, scatter, dose, detector, post-processing.

Wide on purpose. A network trained on one recipe learns the recipe; what it should learn is what all
recipes have in common, the outlines of the bones.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SSRKDLib.ct.hounsfield import attenuation
from SSRKDLib.simulation.detector import add_noise

#: Effective energies beyond these are taken as these, keV.
_ENERGIES_KEV = (40.0, 80.0)


def random_line_integral(
    paths: np.ndarray, joint_row: float, pixel_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """One radiograph, as the line integral that a reader would recover from it.

    Args:
        paths: ``[4, rows, columns]`` mm through cortical, trabecular, muscle, fat.
        joint_row: image row of the joint; rows run along the leg.
        pixel_mm: pixel size at the joint.
        rng: the randomness.

    Returns:
        ``[rows, columns]`` float32, ``ln(I0 / I)`` or a monotone function of it.
    """
    uneven = np.stack([paths[k] * _texture(paths.shape[1:], k, rng) for k in range(4)])
    rows = np.abs(np.arange(paths.shape[1]) - joint_row) * pixel_mm
    # Trabeculae thin out and give way to fatty marrow along the shaft.
    filling = 1 - rng.uniform(0, 0.9) * np.clip((rows - 25) / rng.uniform(25, 80), 0, 1)[:, None]

    energies = rng.uniform(42, 78) + np.array([0.0] if rng.random() < 0.5 else [-8.0, 2.0, 12.0])
    weights = rng.dirichlet(np.full(len(energies), 4.0))
    bone_share, density = rng.uniform(0.04, 0.26), rng.uniform(0.75, 1.15)
    relative_fat = rng.uniform(0.9, 1.05)
    transmitted = np.zeros(paths.shape[1:], np.float32)
    for energy, weight in zip(energies, weights):
        cortical, muscle, fat = (
            attenuation(tissue, np.clip(energy, *_ENERGIES_KEV))
            for tissue in ("cortical_bone", "muscle", "adipose")
        )
        fat = fat * relative_fat
        marrow = fat + (muscle - fat) * rng.uniform(0, 1)
        line = cortical * density * uneven[0] + muscle * uneven[2] + fat * uneven[3]
        line += (marrow + (cortical - marrow) * bone_share * filling) * uneven[1]
        transmitted += weight * np.exp(-line)
    if rng.random() < 0.25:
        transmitted *= np.exp(-_foreign_objects(paths.shape[1:], rng))
    # Drawn apart, so that what other images of this simulator's version draw is what it was.
    apart = rng.spawn(1)[0]
    if apart.random() < 0.06:
        transmitted *= np.exp(-_nail(paths[0] + paths[1], joint_row, pixel_mm, apart))
    if rng.random() < 0.12:
        transmitted *= np.exp(-_collimator(paths.shape[1:], pixel_mm, rng))
    return _detected(transmitted, pixel_mm, rng)


def _texture(shape: tuple[int, int], material: int, rng: np.random.Generator) -> np.ndarray:
    """A positive field about 1: slow drifts of composition, and trabecular or muscular grain."""
    slow = ndimage.zoom(rng.standard_normal((rng.integers(4, 9), rng.integers(4, 9))), 6, order=1)
    field = _stretched(slow, shape) * rng.uniform(0.02, (0.12, 0.2, 0.08, 0.12)[material])
    if material in (1, 2):
        grain = rng.standard_normal((rng.integers(25, 110), rng.integers(25, 80)))
        field += _stretched(grain, shape) * rng.uniform(0, (0, 0.08, 0.05)[material])
    return np.exp(np.clip(field, -0.7, 0.7)).astype(np.float32)


def _stretched(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``field`` resampled bilinearly to ``shape``."""
    for axis in (0, 1):
        where = np.linspace(0, field.shape[axis] - 1, shape[axis])
        low = np.minimum(where.astype(int), field.shape[axis] - 2)
        share = (where - low).reshape((-1, 1) if axis == 0 else (1, -1))
        lower, upper = np.take(field, low, axis), np.take(field, low + 1, axis)
        field = lower * (1 - share) + upper * share
    return field.astype(np.float32)


def _foreign_objects(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Line integrals of wires, electrodes, lead letters, and the edges of sponges and tables."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    field = np.zeros(shape, np.float32)
    for _ in range(rng.integers(1, 5)):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        angle, bend = rng.uniform(0, np.pi), rng.normal(0, 0.004)
        along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
        across = -(columns - x) * np.sin(angle) + (rows - y) * np.cos(angle)
        weight, kind = rng.uniform(0.2, 1.5), rng.random()
        if kind < 0.35:
            hit = np.abs(across - bend * along**2) < rng.uniform(0.5, 1.5)
        elif kind < 0.65:
            hit = np.hypot(columns - x, rows - y) < rng.uniform(1.5, 8)
        elif kind < 0.85:  # a letter: a stem and one or two strokes from it
            size, width = rng.uniform(6, 16), rng.uniform(0.8, 2.0)
            hit = (np.abs(along) < width) & (np.abs(across) < size)
            for end in rng.uniform(-size, size, rng.integers(1, 3)):
                hit |= (np.abs(across - end) < width) & (along > 0) & (along < size)
            weight *= 2
        else:  # foam or table: the beam crosses it on one side of a line
            hit, weight = across > 0, 0.3 * weight
        field[hit] += weight
    return field


def _nail(
    bone: np.ndarray, joint_row: float, pixel_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """Line integral of a nail of steel or titanium in the shaft above or below the joint, along the
    rows' longest paths through bone."""
    away = rng.choice([-1, 1]) * (np.arange(len(bone)) - joint_row) * pixel_mm
    (held,) = np.nonzero(away > rng.uniform(35, 70))
    field = np.zeros(bone.shape, np.float32)
    if len(held) < 2:
        return field
    middles = ndimage.gaussian_filter1d(bone[held], 5 / pixel_mm, axis=1).argmax(axis=1)
    axis = np.polyval(np.polyfit(held, middles, 1), held)
    across = (np.arange(bone.shape[1]) - axis[:, None]) * pixel_mm
    half = rng.uniform(3.5, 6.5)
    field[held] = rng.uniform(0.1, 0.9) * 2 * np.sqrt(np.clip(half**2 - across**2, 0, None))
    return field


def _collimator(shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Line integral of a collimator's blades at an angle, with their penumbra."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle = rng.normal(0, 0.12)
    away = columns - shape[1] / 2, rows - shape[0] / 2
    along = away[0] * np.cos(angle) + away[1] * np.sin(angle)
    across = -away[0] * np.sin(angle) + away[1] * np.cos(angle)
    field = np.zeros(shape, np.float32)
    for axis, half in ((along, shape[1] / 2), (across, shape[0] / 2)):
        for side in (-1, 1):
            if rng.random() < 0.6:
                beyond = side * axis - rng.uniform(0.55, 1.0) * half
                field += np.clip(beyond * pixel_mm / rng.uniform(1, 5) + 0.5, 0, 1)
    return np.minimum(field, 1) * rng.uniform(0.5, 3.0)


def _detected(transmitted: np.ndarray, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """What detector and processing make of the transmitted share of the beam."""
    if rng.random() < 0.6:
        pool = ndimage.zoom(transmitted, 0.125, order=1)
        wide = ndimage.gaussian_filter(pool, rng.uniform(15, 60) / (8 * pixel_mm), mode="nearest")
        transmitted = transmitted + rng.uniform(0, 0.6) * _stretched(wide, transmitted.shape)
    if rng.random() < 0.7:
        transmitted = ndimage.gaussian_filter(transmitted, rng.uniform(0.2, 1.3) / pixel_mm)
    photons = 10 ** rng.uniform(3.4, 5.2)
    transmitted = add_noise(transmitted, photons, rng.uniform(0, 6), rng)
    if rng.random() < 0.2:
        transmitted = np.round(transmitted * 255) / 255
    line = -np.log(np.clip(transmitted, rng.choice([1e-4, 1e-3, 4e-3]), None))
    if rng.random() < 0.35:  # heel effect, or a plate that lies askew
        slope = np.linspace(-1, 1, len(line))[:, None] * rng.normal(0, 0.12)
        line = line + slope + np.linspace(-1, 1, line.shape[1]) * rng.normal(0, 0.12)
    if rng.random() < 0.4:
        line = _enhanced(line, pixel_mm, rng)
    if rng.random() < 0.5:
        line = _displayed(line, rng)
    return line.astype(np.float32)


def _enhanced(line: np.ndarray, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Edges enhanced at one scale, or contrast at several, as clinical stations do (Vuylsteke and
    Schoeters, Multiscale image contrast amplification, Proc SPIE 2167, 1994)."""
    if rng.random() < 0.5:
        smooth = ndimage.gaussian_filter(line, rng.uniform(1, 5) / pixel_mm)
        return line + rng.uniform(0.2, 2.5) * (line - smooth)
    power, result, finer = rng.uniform(0.5, 0.9), np.zeros_like(line), line
    for sigma in (1.2, 2.5, 5.0, 10.0):
        coarser = ndimage.gaussian_filter(line, sigma / pixel_mm, truncate=3)
        band = finer - coarser
        limit = 3 * float(band.std()) + 1e-6
        result += limit * np.sign(band) * (np.abs(band) / limit) ** power
        finer = coarser
    return result + rng.uniform(0.4, 1.0) * finer


def _displayed(line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values for presentation, by a monotone curve: a power, a sigmoid, or any."""
    low, high = np.percentile(line[::4, ::4], (1, 99.5))
    scaled = np.clip((line - low) / max(high - low, 1e-3), 0, None)
    kind = rng.random()
    if kind < 0.4:
        return scaled ** rng.uniform(0.5, 2.0)
    if kind < 0.75:
        middle, slope = rng.uniform(0.35, 0.65), rng.uniform(3, 9)
        return 1 / (1 + np.exp(-slope * (scaled - middle)))
    steps = rng.uniform(0.25, 1.75, 5)
    return np.interp(scaled, np.linspace(0, 1.2, 6), np.concatenate([[0], steps.cumsum()]))
