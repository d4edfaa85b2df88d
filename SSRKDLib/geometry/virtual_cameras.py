"""Virtual cameras that look at the joint: what the networks' images are images of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.geometry.views import View

#: Left to right: canonical coordinates are those of a left knee.
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


#: Half edges of the box that is reconstructed, canonical frame, mm.
REACH = np.array([92.0, 92.0, 100.0])


#: Points of the canonical frame that the locator marks, mm: the joint, up the femur, down the
#: tibia, lateral, anterior.
FRAME_POINTS = np.array(
    [[0.0, 0.0, 0.0], [0.0, 0.0, 70.0], [0.0, 0.0, -70.0], [45.0, 0.0, 0.0], [0.0, -45.0, 0.0]]
)


#: Points of each bone's own frame that the bone locator marks, ``[4, 5, 3]``, mm where the mean
#: knee's bones lie in the canonical frame: the bone's middle near the joint, up, down, lateral,
#: anterior. A knee's are these, carried by the similarity transform of
#: :func:`~SSRKDLib.simulation.population.bone_place`.
BONE_POINTS = np.array(
    [[19.0, -43.0, 37.0], [0.0, 5.0, 25.0], [25.0, 38.0, -45.0], [0.0, 8.0, -25.0]]
)[:, None] + np.array([20.0, 40.0, 25.0, 40.0])[:, None, None] * np.array(
    [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
)


@dataclass(frozen=True)
class Framing:
    """Virtual images of the networks: (pixels, mm at the joint) for the student and segmenter
    (``near``) and for the locator (``wide``)."""

    near_pixels: int = 192
    near_pixel_mm: float = 1.15
    wide_pixels: int = 128
    wide_pixel_mm: float = 3.0

    def __post_init__(self) -> None:
        pixels, sizes = (
            (self.near_pixels, self.wide_pixels),
            (self.near_pixel_mm, self.wide_pixel_mm),
        )
        if not all(32 <= n <= 2048 for n in pixels) or not all(0.1 <= mm <= 10 for mm in sizes):
            raise ValueError(f"virtual images of {pixels} pixels of {sizes} mm")


@dataclass(frozen=True)
class Camera:
    """A virtual camera: its view in canonical coordinates and the real view behind it.

    Attributes:
        view: the virtual view, canonical coordinates, mm.
        real: the real view, canonical coordinates, mm.
        index: which of the rig's views it is.
    """

    view: View
    real: View
    index: int


def frame_cameras(
    views: tuple[View, ...], frame: np.ndarray, pixels: int, pixel_mm: float
) -> tuple[Camera, ...]:
    """The virtual cameras for real views: of the first two, the pair, the more frontal one first;
    then further ones in their order, each as frontal or lateral as it is, as one by itself is.

    Args:
        views: in rig coordinates.
        frame: canonical to rig, 4x4.
        pixels: rows and columns of the virtual images.
        pixel_mm: their pixel size at the joint.
    """
    to_canonical = np.linalg.inv(frame)
    real = [view.transformed(to_canonical) for view in views]
    across = [_horizontal(view) for view in real]
    pair = ()
    if len(real) > 1:
        in_order = abs(across[0][0]) + abs(across[1][1])
        swapped = abs(across[1][0]) + abs(across[0][1])
        pair = ((0, 0), (1, 1)) if in_order >= swapped else ((0, 1), (1, 0))
    further = [(int(abs(a[0]) < abs(a[1])), k) for k, a in enumerate(across)][len(pair) :]
    return tuple(
        Camera(_virtual_view(real[k], slot, pixels, pixel_mm), real[k], k)
        for slot, k in (*pair, *further)
    )


def _horizontal(view: View) -> np.ndarray:
    """Unit vector across the leg and the ray to the joint, either sign."""
    across = np.cross(_source(view), [0.0, 0.0, 1.0])
    return across / max(np.linalg.norm(across), 1e-9)


def _source(view: View) -> np.ndarray:
    """The focal spot as the joint is exposed."""
    return view.focal_spots(np.zeros(3))


def _virtual_view(real: View, slot: int, pixels: int, pixel_mm: float) -> View:
    """Columns grow to the patient's left (frontal slot) or backwards (lateral slot), whichever side
    the source is on, so that a knee seen from behind looks as one seen from the front."""
    across = _horizontal(real)
    across = across * (1.0 if across[slot] >= 0 else -1.0)
    source = _source(real)
    towards = source / np.linalg.norm(source)
    down = np.cross(towards, across)
    down = down * (-1.0 if down[2] > 0 else 1.0)
    half = (pixels - 1) / 2 * pixel_mm
    return replace(
        real,
        name=("frontal", "lateral")[slot],
        source=source,
        detector_origin=-half * across - half * down,
        column_direction=across,
        row_direction=down,
        pixel_spacing=(pixel_mm, pixel_mm),
        size=(pixels, pixels),
    )


def pixel_grid(view: View) -> np.ndarray:
    """(column, row) of every pixel, ``[rows, columns, 2]`` float64."""
    columns, rows = view.size
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).astype(np.float64)


def camera_map(camera: Camera) -> np.ndarray:
    """Where each virtual pixel lies on the real image: (column, row), ``[rows, columns, 2]``.

    Both share their rays, so where a ray meets the virtual image plane does not matter.
    """
    return camera.real.project(camera.view.points_on_detector(pixel_grid(camera.view)))
