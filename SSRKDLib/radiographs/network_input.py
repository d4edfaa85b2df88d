"""From radiographs of any rig to the two images that the networks read.

The networks always see a left knee from two virtual cameras. A virtual camera keeps the real source
and looks at the joint; its image plane passes through the joint, its columns and rows are the
horizontal and vertical of the *canonical frame* (see :mod:`SSRKDLib.simulation.population`), and
its pixels have a fixed size there. Re-imaging about a fixed source is a homography, so nothing is
lost but what lies outside. Distances, detector poses, spacings, sides and the direction that the
leg lies in are all absorbed here; what remains for the networks is perspective and the directions
of the views, and points reach them through exact projection matrices.

A *frame* is a 4x4 matrix from canonical coordinates to the rig's, mm: rigid for a left knee, with
the mirror of x for a right one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from SSRKDLib.geometry.views import View
from SSRKDLib.radiographs.intensity import network_channels

#: Left to right: canonical coordinates are those of a left knee.
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])

#: Half edges of the box that is reconstructed, canonical frame, mm.
REACH = np.array([92.0, 92.0, 100.0])

#: Points of the canonical frame that the locator marks, mm: the joint, up the femur, down the
#: tibia, lateral, anterior.
FRAME_POINTS = np.array(
    [[0.0, 0.0, 0.0], [0.0, 0.0, 70.0], [0.0, 0.0, -70.0], [45.0, 0.0, 0.0], [0.0, -45.0, 0.0]]
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
) -> tuple[Camera, Camera]:
    """The virtual cameras for two real views, the more frontal one first.

    Args:
        views: two views in rig coordinates.
        frame: canonical to rig, 4x4.
        pixels: rows and columns of the virtual images.
        pixel_mm: their pixel size at the joint.
    """
    to_canonical = np.linalg.inv(frame)
    real = [view.transformed(to_canonical) for view in views]
    across = [_horizontal(view) for view in real]
    in_order = abs(across[0][0]) + abs(across[1][1])
    swapped = abs(across[1][0]) + abs(across[0][1])
    order = (0, 1) if in_order >= swapped else (1, 0)
    return tuple(
        Camera(_virtual_view(real[k], slot, pixels, pixel_mm), real[k], k)
        for slot, k in enumerate(order)
    )


def _horizontal(view: View) -> np.ndarray:
    """Unit vector across the leg and the ray to the joint, either sign."""
    across = np.cross(view.source, [0.0, 0.0, 1.0])
    return across / max(np.linalg.norm(across), 1e-9)


def _virtual_view(real: View, slot: int, pixels: int, pixel_mm: float) -> View:
    """Columns grow to the patient's left (frontal slot) or backwards (lateral slot), whichever side
    the source is on, so that a knee seen from behind looks as one seen from the front."""
    across = _horizontal(real)
    across = across * (1.0 if across[slot] >= 0 else -1.0)
    towards = real.source / np.linalg.norm(real.source)
    down = np.cross(towards, across)
    down = down * (-1.0 if down[2] > 0 else 1.0)
    half = (pixels - 1) / 2 * pixel_mm
    return View(
        name=("frontal", "lateral")[slot],
        source=real.source,
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

    Both share the source, so the map is a homography.
    """
    homography = np.linalg.solve(camera.real.ray_matrix, camera.view.ray_matrix)
    moved = pixel_grid(camera.view) @ homography[:, :2].T + homography[:, 2]
    ahead = moved[..., 2:]
    return moved[..., :2] / np.where(ahead > 1e-9, ahead, np.nan)


def sample(
    image: np.ndarray, valid: np.ndarray, camera: Camera, order: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The radiograph as the virtual camera sees it.

    Args:
        image: ``[rows, columns]`` of the real view.
        valid: bool, the same shape: where the radiograph shows anything.
        camera: the virtual camera.
        order: 1 for bilinear, 0 for the nearest pixel (label images).

    Returns:
        Image and bool mask of the virtual camera's size; zero where not valid.
    """
    where = camera_map(camera)
    coordinates = np.nan_to_num(where[..., ::-1], nan=-1e6).transpose(2, 0, 1)
    inside = ndimage.map_coordinates(
        valid.astype(np.float32), coordinates, order=1, mode="constant", cval=0.0
    )
    sampled = ndimage.map_coordinates(image, coordinates, order=order, mode="nearest")
    seen = inside > 0.99
    return np.where(seen, sampled, 0).astype(image.dtype), seen


class Exposure:
    """One radiograph, ready to be re-imaged by virtual cameras.

    Args:
        view: where it was taken, rig coordinates, mm.
        line_integral: ``[rows, columns]`` float32.
        valid: ``[rows, columns]`` bool, where it shows anything.
    """

    def __init__(self, view: View, line_integral: np.ndarray, valid: np.ndarray) -> None:
        self.view, self.line_integral, self.valid = view, line_integral, valid
        self._reduced: dict[tuple[int, int], Exposure] = {(1, 1): self}

    def reduced(self, pixel_mm: float, joint: np.ndarray) -> Exposure:
        """This radiograph averaged over whole blocks of pixels until its pixels are about
        ``pixel_mm`` at the joint (rig coordinates), so that sampling it does not alias."""
        depth = (self.view.projection_matrix @ [*joint, 1.0])[2]
        # A guess of the joint beside or behind the source must not ask for absurd blocks.
        depth = float(np.clip(depth, 0.3, 1.0))
        blocks = tuple(
            max(1, int(round(pixel_mm / (spacing * depth)))) for spacing in self.view.pixel_spacing
        )
        if blocks not in self._reduced:
            self._reduced[blocks] = self._averaged(*blocks)
        return self._reduced[blocks]

    def _averaged(self, across: int, down: int) -> Exposure:
        rows, columns = self.valid.shape[0] // down, self.valid.shape[1] // across

        def mean(array: np.ndarray) -> np.ndarray:
            cut = array[: rows * down, : columns * across].astype(np.float32)
            return cut.reshape(rows, down, columns, across).mean((1, 3))

        share = mean(self.valid)
        image = mean(np.where(self.valid, self.line_integral, 0)) / np.maximum(share, 1e-6)
        view = replace(
            self.view,
            detector_origin=self.view.points_on_detector(
                np.array([(across - 1) / 2, (down - 1) / 2])
            ),
            pixel_spacing=(
                self.view.pixel_spacing[0] * across, self.view.pixel_spacing[1] * down
            ),
            size=(columns, rows),
        )  # fmt: skip
        valid = share > 0.5
        return Exposure(view, np.where(valid, image, 0), valid)


def network_images(
    exposures: tuple[Exposure, Exposure], frame: np.ndarray, pixels: int, pixel_mm: float
) -> tuple[np.ndarray, tuple[Camera, Camera]]:
    """What the networks read of two radiographs in a frame.

    Returns:
        ``[2, 3, pixels, pixels]`` float32 (the two channels of
        :func:`~SSRKDLib.radiographs.intensity.network_channels`, and where they are valid), more
        frontal view first, and the cameras.
    """
    reduced = [exposure.reduced(pixel_mm, frame[:3, 3]) for exposure in exposures]
    cameras = frame_cameras(tuple(e.view for e in reduced), frame, pixels, pixel_mm)
    images = [
        channels(reduced[c.index].line_integral, reduced[c.index].valid, c, pixel_mm)
        for c in cameras
    ]
    return np.stack(images), cameras


def channels(
    line_integral: np.ndarray, valid: np.ndarray, camera: Camera, pixel_mm: float
) -> np.ndarray:
    """One virtual image as network input, ``[3, pixels, pixels]`` float32."""
    seen, inside = sample(line_integral, valid, camera)
    return np.concatenate(
        [network_channels(seen, inside, pixel_mm), inside[None].astype(np.float32)]
    )


@dataclass(frozen=True)
class FramedRadiographs:
    """Two radiographs in a frame, as the models read them.

    Attributes:
        pair: the exposures.
        frame: canonical to rig, 4x4.
        images: from :func:`network_images`.
        cameras: from :func:`network_images`.
        masks: probabilities of the bones on the images, ``[2, 4, n, n]``, the user's where edited.
        edited: per exposure of the pair, the user's masks ``[4, rows, columns]`` on the
            radiograph's own pixels, or None.
    """

    pair: tuple[Exposure, Exposure]
    frame: np.ndarray
    images: np.ndarray
    cameras: tuple[Camera, Camera]
    masks: np.ndarray
    edited: tuple[np.ndarray | None, np.ndarray | None] = (None, None)


def framed_mask(
    mask: np.ndarray, exposure: Exposure, camera: Camera, frame: np.ndarray
) -> np.ndarray:
    """A mask on a radiograph's own pixels, as one of its virtual cameras sees it.

    Args:
        mask: ``[rows, columns]``, 0 to 1, the size of the exposure.
        exposure: whose pixels they are.
        camera: one of its virtual cameras.
        frame: canonical to rig, 4x4.

    Returns:
        ``[n, n]`` float32.
    """
    own = Exposure(exposure.view, mask.astype(np.float32), exposure.valid)
    reduced = own.reduced(camera.view.pixel_spacing[0], frame[:3, 3])
    real = reduced.view.transformed(np.linalg.inv(frame))
    return sample(reduced.line_integral, reduced.valid, replace(camera, real=real))[0]


def unframed(
    image: np.ndarray, exposure: Exposure, camera: Camera, frame: np.ndarray
) -> np.ndarray:
    """An image of a virtual camera on a radiograph's own pixels: the way back of
    :func:`framed_mask`.

    Args:
        image: ``[n, n]`` of the virtual camera.
        exposure: the radiograph.
        camera: one of its virtual cameras.
        frame: canonical to rig, 4x4.

    Returns:
        ``[rows, columns]`` float32, zero beyond the virtual image and outside the exposed field.
    """
    real = exposure.view.transformed(np.linalg.inv(frame))
    where = camera_map(replace(camera, view=real, real=camera.view))
    coordinates = np.nan_to_num(where[..., ::-1], nan=-1e6).transpose(2, 0, 1)
    found = ndimage.map_coordinates(
        image.astype(np.float32), coordinates, order=1, mode="constant", cval=0.0
    )
    return np.where(exposure.valid, found, 0).astype(np.float32)
