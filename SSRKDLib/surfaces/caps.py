"""The flat caps that close a shaft where an image ended."""

from __future__ import annotations

import numpy as np

from SSRKDLib.surfaces.mesh import Mesh


def without_caps(mesh: Mesh) -> Mesh:
    """``mesh`` without the flat caps that close a shaft where an image ended, in any direction.

    A cap is what lies in one plane at the end of the mesh and covers half of the cross-section
    3 mm further in.
    """
    vectors = mesh.area_vectors()
    area = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.maximum(area, 1e-12)[:, None]
    bins, index = np.unique(np.round(unit * 8), axis=0, return_inverse=True)
    total = np.bincount(index.ravel(), weights=area, minlength=len(bins))
    keep = np.ones(len(mesh.faces), dtype=bool)
    for place in np.argsort(-total)[:8]:
        normal = vectors[index.ravel() == place].sum(axis=0)
        normal /= max(np.linalg.norm(normal), 1e-12)
        height = mesh.vertices @ normal
        top = height.max()
        flat = (height[mesh.faces] >= top - 0.5).all(axis=1) & (unit @ normal > 0.99)
        covered = area[flat].sum()
        section = abs((mesh.cut(normal, top - 3.0).area_vectors() @ normal).sum())
        if covered and covered >= 0.5 * section - 1e-9:
            keep &= ~flat
    return mesh if keep.all() else Mesh(mesh.vertices, mesh.faces[keep])
