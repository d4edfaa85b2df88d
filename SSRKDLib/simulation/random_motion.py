"""Random motions of the bones between two exposures, for training."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import turn_about
from SSRKDLib.simulation.leg_motion import Motions, leg_motion
from SSRKDLib.simulation.random_shape import Bones
from SSRKDLib.surfaces.mesh import Mesh

#: Share of the pairs between whose exposures the leg moved.
MOVED_SHARE = 0.35

#: Standard deviations of what a bone does besides: degrees and mm. The tibia turns about its own
#: axis as the knee bends, the patella tilts (Amis et al., J Orthop Res 24(12), 2006).
_WOBBLE = {"patella": (2.5, 1.5), "tibia": (1.5, 0.8)}


def random_motions(
    bones: Bones, faces: dict[str, np.ndarray], rng: np.random.Generator
) -> Motions | None:
    """How the bones (canonical frame, mm) moved from the first exposure to the second; None where
    they did not.

    The knee bends by up to 40 degrees, or hardly; the leg turns by about 5 and shifts by about 8
    mm, and more; patella and tibia go ways of their own, and the fibula stays with the tibia.
    """
    if rng.random() >= MOVED_SHARE:
        return None
    flexion = rng.uniform(-5, 40) if rng.random() < 0.7 else rng.normal(0, 4)
    flexion = float(np.clip(flexion, -8, 40))
    meshes = {bone: Mesh(bones[bone], faces[bone]) for bone in BONES}
    motions = leg_motion(meshes, flexion, rng, abs(rng.normal(0, 6)), abs(rng.normal(0, 9)))
    wobbled = dict(motions)
    for bone, (degrees, shift) in _WOBBLE.items():
        # The end at the joint; a patella may ride high.
        height = np.abs(bones[bone][:, 2])
        near = bones[bone][height < height.min() + 60]
        wobbled[bone] = motions[bone] @ disturbance(near.mean(0), degrees, shift, rng)
    wobbled["fibula"] = wobbled["tibia"] @ np.linalg.inv(motions["tibia"]) @ motions["fibula"]
    return wobbled


def disturbance(
    centre: np.ndarray, degrees: float, shift: float, rng: np.random.Generator
) -> np.ndarray:
    """A small rigid 4x4 about a point: normal, with these standard deviations per axis."""
    turn = Rotation.from_euler("xyz", rng.normal(0, degrees, 3), degrees=True)
    return turn_about(turn.as_matrix(), centre, rng.normal(0, shift, 3))
