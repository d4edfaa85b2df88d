"""Radiographs of bone surfaces for tests and demonstrations, and where their knee is.

The radiographs come from the voxel simulator (:mod:`SSRKDLib.simulation.voxel_phantom`), whose
recipe is not the one the default weights were trained on.
"""

from __future__ import annotations

import numpy as np

from SSRKDLib.core.progress import Reporter
from SSRKDLib.geometry.views import Rig
from SSRKDLib.surfaces.mesh import Mesh


def simulate_exposures(
    meshes: dict[str, Mesh],
    rig: Rig,
    seed: int,
    report: Reporter | None = None,
) -> list[np.ndarray]:
    """Radiographs of four bones with a leg made up around them.

    Args:
        meshes: patella, femur, fibula and tibia in the rig's frame, mm; shafts may be cut.
        rig: how to look at them.
        seed: of tissue and noise; the same seed gives the same images.
        report: called with what is being done.

    Returns:
        Line integrals with noise, one float32 ``[rows, columns]`` per view.

    Raises:
        MeshError: a bone is missing or they do not make a knee.
    """
    from SSRKDLib.simulation.voxel_phantom import simulate_view, voxel_knee

    report = report or (lambda what: None)
    rng = np.random.default_rng(seed)
    report("filling a leg of voxels around the bones")
    volume = voxel_knee(meshes, rng)
    images = []
    for view in rig.views:
        report(f"projecting the {view.name} view")
        images.append(simulate_view(volume, view, rng))
    return images
