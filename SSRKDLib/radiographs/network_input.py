"""From radiographs of any rig to the two images that the networks read.

The networks always see a left knee from two virtual cameras. A virtual camera keeps the real source
and looks at the joint; its image plane passes through the joint, its columns and rows are the
horizontal and vertical of the *canonical frame* (see :mod:`SSRKDLib.simulation.population`), and
its pixels have a fixed size there. Both images are of the same rays, so nothing is
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
from SSRKDLib.geometry.virtual_cameras import Camera, camera_map, frame_cameras
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.normalisation import network_channels


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
    inside = inside > 0.99
    return np.where(inside, sampled, 0).astype(image.dtype), inside


@dataclass(frozen=True)
class NetworkInput:
    """What the project's own networks read of radiographs: of a pair, the more frontal view first,
    and of further ones, which are segmented only.

    Attributes:
        images: ``[views, 3, n, n]`` float32: the two channels of
            :func:`~SSRKDLib.radiographs.normalisation.network_channels`, and where they are valid.
        valid: ``[views, n, n]`` bool, where the radiographs show anything.
        cameras: whose images these are, canonical coordinates.
    """

    images: np.ndarray
    valid: np.ndarray
    cameras: tuple[Camera, ...]


def network_input(
    exposures: tuple[Exposure, ...], frame: np.ndarray, pixels: int, pixel_mm: float
) -> NetworkInput:
    """The one way from radiographs to the project's own networks, in training and inference.

    Nothing is random here: training draws exposures and frame, and passes them in.

    Args:
        exposures: two radiographs, and further ones.
        frame: canonical to rig, 4x4.
        pixels: rows and columns of the images.
        pixel_mm: size of a pixel at the joint.
    """
    reduced, cameras = reduced_to_cameras(exposures, frame, pixels, pixel_mm)
    images, valid = [], []
    for camera in cameras:
        exposure = reduced[camera.index]
        line_integral, inside = sample(exposure.line_integral, exposure.valid, camera)
        channels = network_channels(line_integral, inside, pixel_mm)
        images.append(np.concatenate([channels, inside[None].astype(np.float32)]))
        valid.append(inside)
    return NetworkInput(np.stack(images), np.stack(valid), cameras)


def reduced_to_cameras(
    exposures: tuple[Exposure, ...], frame: np.ndarray, pixels: int, pixel_mm: float
) -> tuple[list[Exposure], tuple[Camera, ...]]:
    """Radiographs averaged to about the pixel size of the virtual images, and their cameras (the
    more frontal of the first two first); arguments as in :func:`network_input`."""
    reduced = [exposure.reduced(pixel_mm, frame[:3, 3]) for exposure in exposures]
    return reduced, frame_cameras(tuple(e.view for e in reduced), frame, pixels, pixel_mm)


@dataclass(frozen=True)
class FramedRadiographs:
    """Radiographs in a frame, as the models read them.

    Attributes:
        pair: the exposures: two, and further ones where those are segmented, too.
        frame: canonical to rig, 4x4.
        input: from :func:`network_input`.
        masks: probabilities of the bones on the images, ``[views, 4, n, n]``, the user's where
            edited.
        edited: per exposure, the user's masks ``[4, rows, columns]`` on the
            radiograph's own pixels, or None.
    """

    pair: tuple[Exposure, ...]
    frame: np.ndarray
    input: NetworkInput
    masks: np.ndarray
    edited: tuple[np.ndarray | None, ...] = (None, None)


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


def framed_labels(labels: np.ndarray, view: View, camera: Camera, frame: np.ndarray) -> np.ndarray:
    """Integers on a radiograph's own pixels, as one of its virtual cameras sees them.

    They cannot be averaged: each pixel takes the nearest of the full resolution.

    Args:
        labels: ``[rows, columns]``, integers, the size of the view.
        view: whose pixels they are, rig coordinates.
        camera: one of its virtual cameras.
        frame: canonical to rig, 4x4.

    Returns:
        ``[n, n]`` of the labels' type, 0 outside the radiograph.
    """
    full = replace(camera, real=view.transformed(np.linalg.inv(frame)))
    return sample(labels, np.ones(labels.shape, bool), full, order=0)[0]


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
