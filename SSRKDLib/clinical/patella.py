"""The articular surface of the patella, as a lateral radiograph shows it."""

from __future__ import annotations

import numpy as np

from SSRKDLib.surfaces.mesh import Mesh

#: The surface's ends are where the patella's back has turned this far, degrees: 45 at the base,
#: which is a corner; 30 at the apex, where the back turns into the apex's own slope and a larger
#: angle would run on towards its tip. So taken, the surface is about four fifths of the patella's
#: length, as anatomists find.
_TURN_UPPER, _TURN_LOWER = 45.0, 30.0


def articular_surface(
    patella: Mesh, lateral: np.ndarray, femur: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower end of the articular surface, (3,) each, mm, in the mesh's frame.

    The patella is flat: its shortest principal axis is its front-to-back direction, whatever the
    knee's flexion.

    Args:
        patella: of a left knee.
        lateral: (3,) the femur's lateral direction.
        femur: (3,) a point in the condyles, to tell back from front.
    """
    weights = np.linalg.norm(patella.area_vectors(), axis=1)
    middles = patella.corners().mean(axis=1)
    centre = np.average(middles, axis=0, weights=weights)
    spread = np.cov((middles - centre).T, aweights=weights)
    back = np.linalg.eigh(spread)[1][:, 0]
    back *= np.sign(back @ (femur - centre))
    up = np.cross(lateral - (lateral @ back) * back, back)
    up /= np.linalg.norm(up)
    upper, lower = (
        patella.vertices @ (np.cos(turn) * back + np.sin(turn) * up)
        for turn in np.radians([_TURN_UPPER, -_TURN_LOWER])
    )
    return patella.vertices[np.argmax(upper)], patella.vertices[np.argmax(lower)]
