"""From radiographs of any rig to the two images that the published networks read.

The published networks were trained on projections of one geometry: source 1000 mm from the axis,
512 x 512 pixels of 0.575 mm at 2000 mm, views along x and along y. What of that matters to a
network is the size of a pixel at the joint (0.2875 mm), that views are seen from their source with
the leg upright, and what an image value means. All of it is rebuilt here with virtual cameras
(:mod:`SSRKDLib.geometry.virtual_cameras`); the rest of the rig (distances, the angle between the
views) enters through the cameras' own projection matrices.

Two half-pixel conventions meet, and both are kept. The published simulator puts a point that it
projects to normalised ``d`` on pixel ``(d + 1) / 2 * 512 - 0.5``, which is the convention of
:func:`SSRKDLib.geometry.views.to_grid_sample`; the published networks, however, read their feature
maps at ``d`` with ``align_corners=True``. Whoever corrects that reads elsewhere than training did.

Source: Lin et al., SSR-KD, arXiv 2508.13947, and measurements of the published code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.geometry.views import View, to_grid_sample
from SSRKDLib.geometry.virtual_cameras import Camera
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import reduced_to_cameras, sample

#: The networks' line integral, of clip((HU + 400) / 900, 0, 1) in metres, as a multiple of the
#: natural one, ln(I0 / I): the ratio in soft tissue, which makes up most of every path.
NETWORK_UNITS = 0.022

#: Share of the image's height that rows cover, and how far from the image's middle (of the height)
#: the middle of what they cover lies: the whole image.
WHOLE_HEIGHT = (1.0, 0.0)


@dataclass(frozen=True)
class PublishedInput:
    """What the published networks read of two radiographs; the view along x (lateral) is first.

    Attributes:
        images: ``[2, n, n]`` float32, natural line integrals, 0 where nothing is known.
        valid: ``[2, n, n]`` bool, where the radiographs show anything.
        cameras: whose images these are, canonical coordinates.
    """

    images: np.ndarray
    valid: np.ndarray
    cameras: tuple[Camera, Camera]

    def cut(self, masks: np.ndarray) -> np.ndarray:
        """Masks or labels ``[2, n, n]`` on the images, 0 (False) where nothing is known."""
        return np.where(self.valid, masks, np.zeros((), masks.dtype))

    def network_values(self, factor: float) -> np.ndarray:
        """The images in a network's unit: :data:`NETWORK_UNITS` times the factor of its weights."""
        return self.images * (NETWORK_UNITS * factor)


def published_input(
    exposures: tuple[Exposure, Exposure],
    frame: np.ndarray,
    pixels: int,
    pixel_mm: float,
    z_crop: tuple[float, float] = WHOLE_HEIGHT,
) -> PublishedInput:
    """The one way from radiographs to the published networks, in training and inference.

    Nothing is random here: training draws exposures, frame and z-crop, and passes them in. A z-crop
    is a camera whose rows cover less of the leg; points still reach it through its own projection
    matrix. (The published code scales heights instead, which ignores perspective.)

    Args:
        exposures: natural line integrals with their views, rig coordinates.
        frame: canonical to rig, 4x4.
        pixels: rows and columns of the images.
        pixel_mm: size of a pixel at the joint.
        z_crop: as :data:`WHOLE_HEIGHT`; rows stay as many and become finer.
    """
    reduced, (frontal, lateral) = reduced_to_cameras(exposures, frame, pixels, pixel_mm)
    cameras = tuple(
        replace(camera, view=_cropped(seen_from_source(camera.view), *z_crop))
        for camera in (lateral, frontal)
    )
    images, valid = zip(
        *(sample(reduced[c.index].line_integral, reduced[c.index].valid, c) for c in cameras)
    )
    return PublishedInput(np.stack(images), np.stack(valid), cameras)


def image_points(cameras: tuple[Camera, Camera], points: np.ndarray) -> np.ndarray:
    """Canonical points ``[N, 3]`` mm in the published normalised coordinates.

    Returns:
        ``[2, N, 2]`` float64 (row, column), -1 and 1 at the outer edges of the image; NaN behind a
        source.
    """
    return np.stack(
        [
            to_grid_sample(camera.view.project(points), camera.view.size)[:, ::-1]
            for camera in cameras
        ]
    )


def seen_from_source(view: View) -> View:
    """The view with its columns growing to the right of one who stands at the source, head up.

    So the published images are: columns along +y at 0 degrees (source on +x), along -x at 90
    degrees (source on +y), and reversed from the opposite side. The project's own networks want the
    columns of both sides alike instead (:func:`SSRKDLib.geometry.virtual_cameras.frame_cameras`).
    """
    right = np.cross(view.axis, -view.row_direction)
    if view.column_direction @ right > 0:
        return view
    width = (view.size[0] - 1) * view.pixel_spacing[0]
    return replace(
        view,
        detector_origin=view.detector_origin + width * view.column_direction,
        column_direction=-view.column_direction,
    )


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
