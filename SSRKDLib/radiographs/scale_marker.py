"""The scale of a radiograph from an object of known size on it: a calibration sphere, or a ruler.

NumPy and SciPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from SSRKDLib.core.errors import ImageError

#: Rays from the clicked point that the sphere's border is searched on.
_RAYS = 120

#: Diameters that a calibration sphere's picture may have, pixels.
DIAMETERS = (8.0, 600.0)

#: Share of the rays that must meet a border on the fitted circle.
_ON_CIRCLE = 0.6


@dataclass(frozen=True)
class Disc:
    """The picture of a sphere.

    Attributes:
        centre: (column, row), pixels.
        diameter: pixels between columns; ``aspect`` pixels of it are one between rows.
        aspect: row spacing over column spacing of the image.
    """

    centre: tuple[float, float]
    diameter: float
    aspect: float = 1.0

    def outline(self, points: int = 72) -> np.ndarray:
        """Points (column, row) on the border, ``[points, 2]`` pixels."""
        turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
        half = self.diameter / 2
        return np.stack(
            [
                self.centre[0] + half * np.cos(turn),
                self.centre[1] + half * np.sin(turn) / self.aspect,
            ],
            -1,
        )


def find_disc(
    pixels: np.ndarray, click: tuple[float, float], spacing: tuple[float, float] = (1.0, 1.0)
) -> Disc:
    """The sphere whose picture lies under a click, be it bright or dark.

    Along rays from the click the steepest steps of one sign are candidates for the border; the
    circle through most of them is kept and fitted to them (Kasa's linear least squares), with the
    fitted centre as the next click.

    Args:
        pixels: ``[rows, columns]``.
        click: (column, row), anywhere well inside the sphere.
        spacing: of the pixels (between columns, between rows); only their ratio matters.

    Raises:
        ImageError: no disc was found, or the click lies outside the image.
    """
    aspect = spacing[1] / spacing[0]
    image = np.asarray(pixels, dtype=np.float64)
    rows, columns = image.shape
    if not (0 <= click[0] <= columns - 1 and 0 <= click[1] <= rows - 1):
        raise _no_sphere("The click lies outside the radiograph.")
    image = ndimage.gaussian_filter(image, 1.0)
    best: tuple[int, float, np.ndarray] | None = None
    for sign in (1.0, -1.0):
        centre = np.array([click[0], click[1] * aspect])
        circle = None
        for _ in range(4):
            border = _border(image * sign, centre, aspect)
            found = _circle(border)
            if found is None:
                circle = None
                break
            circle, centre = found, found[1][:2]
        if circle is not None and (best is None or circle[2] > best[1]):
            best = (circle[0], circle[2], circle[1])
    if best is None:
        raise _no_sphere("No sphere was found under the click.")
    x, y, radius = best[2]
    return Disc((float(x), float(y / aspect)), float(2 * radius), aspect)


def _no_sphere(cause: str) -> ImageError:
    return ImageError(
        cause, "Click near the middle of the sphere's picture, or measure with the ruler instead."
    )


def _border(image: np.ndarray, centre: np.ndarray, aspect: float) -> np.ndarray:
    """The three steepest falls along each ray, ``[rays * 3, 3]``: x, y (columns), steepness."""
    longest = min(DIAMETERS[1], 2 * max(image.shape)) * 0.75
    radii = np.arange(1.0, longest, 0.5)
    turn = np.linspace(0, 2 * np.pi, _RAYS, endpoint=False)
    direction = np.stack([np.cos(turn), np.sin(turn)], -1)
    points = centre + radii[None, :, None] * direction[:, None, :]
    profile = ndimage.map_coordinates(
        image, [points[..., 1] / aspect, points[..., 0]], order=1, mode="constant", cval=np.nan
    )
    fall = -np.gradient(profile, radii, axis=1)
    fall[~np.isfinite(fall)] = 0
    peak = (fall > np.roll(fall, 1, 1)) & (fall >= np.roll(fall, -1, 1))
    peak[:, [0, -1]] = False
    score = np.where(peak, fall, 0)
    strongest = np.argsort(-score, axis=1)[:, :3]
    rays = np.arange(_RAYS)[:, None]
    where = _refined(fall, rays, strongest, radii)
    found = centre + where[..., None] * direction[:, None, :]
    return np.concatenate([found, score[rays, strongest][..., None]], -1).reshape(-1, 3)


def _refined(
    fall: np.ndarray, rays: np.ndarray, index: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Radius of each peak, to a fraction of a step, by a parabola through its neighbours."""
    index = np.clip(index, 1, fall.shape[1] - 2)
    before, at, after = (fall[rays, index + k] for k in (-1, 0, 1))
    curvature = before - 2 * at + after
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(curvature < 0, 0.5 * (before - after) / curvature, 0.0)
    return radii[index] + np.clip(shift, -0.5, 0.5) * (radii[1] - radii[0])


def _circle(border: np.ndarray) -> tuple[int, np.ndarray, float] | None:
    """The circle that most rays agree on: how many, (x, y, radius), and their mean steepness."""
    strong = border[:, 2] > 0.25 * np.percentile(border[:, 2], 90)
    points, steep = border[strong, :2], border[strong, 2]
    if len(points) < _ON_CIRCLE * _RAYS:
        return None
    rng = np.random.default_rng(0)
    best_score, best = 0.0, None
    for _ in range(400):
        circle = _through(points[rng.choice(len(points), 3, replace=False)])
        if circle is None or not DIAMETERS[0] <= 2 * circle[2] <= DIAMETERS[1]:
            continue
        near = _distance(points, circle) < max(1.0, 0.03 * circle[2])
        score = float(near.sum() + 1e-3 * steep[near].sum() / max(steep.max(), 1e-12))
        if score > best_score:
            best_score, best = score, circle
    if best is None:
        return None
    for _ in range(3):
        near = _distance(points, best) < max(1.0, 0.02 * best[2])
        if near.sum() < _ON_CIRCLE * _RAYS:
            return None
        best = _fitted(points[near])
    return int(near.sum()), best, float(steep[near].mean())


def _through(three: np.ndarray) -> np.ndarray | None:
    a, b, c = three
    system = 2 * np.array([b - a, c - a])
    if abs(np.linalg.det(system)) < 1e-6:
        return None
    centre = np.linalg.solve(system, np.array([b @ b - a @ a, c @ c - a @ a]))
    return np.array([*centre, np.linalg.norm(a - centre)])


def _fitted(points: np.ndarray) -> np.ndarray:
    system = np.column_stack([2 * points, np.ones(len(points))])
    x, y, rest = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    return np.array([x, y, np.sqrt(max(rest + x * x + y * y, 0.0))])


def _distance(points: np.ndarray, circle: np.ndarray) -> np.ndarray:
    return np.abs(np.linalg.norm(points - circle[:2], axis=1) - circle[2])


def spacing_from_length(
    length: tuple[float, float],
    size_mm: float,
    magnification: float,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> tuple[float, float]:
    """The pixel spacing on the detector from an object of known size.

    Args:
        length: of the object's picture, pixels (columns, rows) from one end to the other.
        size_mm: of the object.
        magnification: of the object: SDD / SOD beside the knee, 1 on the detector.
        spacing: so far known (between columns, between rows); its ratio is kept.

    Raises:
        ImageError: a length or size that is not positive.
    """
    aspect = spacing[1] / spacing[0]
    pixels = float(np.hypot(length[0], length[1] * aspect))
    if not (np.isfinite(pixels) and pixels >= 2 and np.isfinite(size_mm) and size_mm > 0):
        raise ImageError(
            "A scale cannot be made of {size_mm:g} mm over {pixels:.1f} pixels.",
            "Mark the object from end to end, and give its size in millimetres.",
            size_mm=size_mm,
            pixels=pixels,
        )
    between_columns = size_mm * magnification / pixels
    return between_columns, between_columns * aspect
