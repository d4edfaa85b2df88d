"""Rigid transforms that people write down."""

from __future__ import annotations

import numpy as np

from SSRKDLib.core.errors import GeometryError

#: Farthest that anything of an X-ray room lies from its origin, along each axis, mm.
FARTHEST_MM = 1e4


def rigid_matrix(values: object) -> np.ndarray:
    """A checked 4x4 rigid transform (rotation without reflection, mm) from nested numbers."""
    try:
        matrix = np.asarray(values, dtype=np.float64).reshape(4, 4)
    except (TypeError, ValueError) as error:
        raise GeometryError("patient_to_rig is not a 4x4 matrix.", "Give 4 rows of 4.") from error
    rotation = matrix[:3, :3]
    rigid = (
        (np.abs(matrix) <= FARTHEST_MM).all()
        and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
        and np.linalg.det(rotation) > 0
        and np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6)
    )
    if not rigid:
        raise GeometryError(
            "patient_to_rig is not a rigid transform.",
            "It must turn and shift only (no mirror, no scale, at most {farthest:g} mm), last row "
            "0 0 0 1.",
            farthest=FARTHEST_MM,
        )
    return matrix
