"""The articular surface of the patella, as a lateral radiograph shows it."""

from __future__ import annotations

import numpy as np

from SSRKDLib.clinical.marks import marked


def articular_surface(patella: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower end of the articular surface, (3,) each, mm, in the frame of the points.

    On the mean patella they are where its back has turned 45 degrees towards the base, which is a
    corner, and 30 degrees towards the apex, where the back turns into the apex's own slope; so
    taken, the surface is about four fifths of the patella's length, as anatomists find.

    Args:
        patella: ``[N, 3]`` the template's vertices, mm.
    """
    patches = marked("patella")
    return tuple(patches[f"articular_{end}"].marked_point(patella) for end in ("upper", "lower"))
