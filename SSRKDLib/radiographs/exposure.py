"""From a rig's image files to exposures that can be reconstructed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from SSRKDLib.core.errors import GeometryError, ImageError
from SSRKDLib.geometry.views import Rig, axes_angle
from SSRKDLib.radiographs.intensity import to_line_integral
from SSRKDLib.radiographs.network_input import Exposure
from SSRKDLib.radiographs.reading import read_radiograph


def read_exposures(
    rig: Rig, fields: Sequence[np.ndarray | None] | None = None
) -> tuple[list[Exposure], list[str]]:
    """Read every view's radiograph.

    Args:
        rig: its views name the files.
        fields: per view, bool ``[rows, columns]``, the collimated field where it is known from
            elsewhere than the image file, or None.

    Returns:
        One exposure per view, and sentences for the report.

    Raises:
        ImageError: a file is absent, unreadable, blank, or not of the size that the rig says.
        GeometryError: a view names no image.
    """
    exposures, notes = [], []
    for view, field in zip(rig.views, fields or [None] * len(rig.views)):
        if view.image is None:
            raise GeometryError(
                f"View '{view.name}' names no image.", 'Add its "image" to the rig.'
            )
        radiograph = read_radiograph(view.image)
        if radiograph.size != view.size:
            raise ImageError(
                f"'{view.image}' is {radiograph.size[0]} x {radiograph.size[1]} pixels, the rig "
                f"says {view.size[0]} x {view.size[1]}.",
                "Correct the rig's size (and pixel_spacing), or name the right image.",
            )
        if field is not None and field.shape != radiograph.pixels.shape:
            raise ImageError(
                f"The collimated field of '{view.image}' has another size than the image.",
                "Leave the field away, or give one of the image's size.",
            )
        line_integral, valid, more = to_line_integral(
            radiograph.pixels, view.values, view.air, radiograph.valid if field is None else field
        )
        notes += [f"{view.name}: {note}" for note in (*radiograph.notes, *more)]
        exposures.append(Exposure(view, line_integral, valid))
    return exposures, notes


def best_pair(exposures: list[Exposure]) -> tuple[Exposure, Exposure]:
    """The two exposures whose axes are most nearly perpendicular."""
    return max(
        combinations(exposures, 2),
        key=lambda pair: axes_angle(pair[0].view.axis, pair[1].view.axis),
    )
