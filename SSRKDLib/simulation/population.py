"""Twenty-six real left legs in dense correspondence, and the mean knee's frame.

The bundled file is derived from the LLP26 data set of the Auckland Bioengineering Institute
(MPL-2.0, see ``SSRKDLib/data/population``) by ``Training/make_population.py``. People 0 to 19 may
be trained on; people 20 to 25 are held out: they are only ever evaluated.

**The canonical frame.** Origin in the middle of the mean knee's joint space, axes as in LLP26: +x
left (lateral, for these left legs), +y posterior, +z along the leg towards the hip; mm. A knee's
own canonical frame is the one halfway between where its femur and where its tibia would put the
mean knee (:func:`canonical_frame`). Its origin is the networks' and stays what they were trained
with; it lies up to 9 mm from :func:`SSRKDLib.surfaces.knee.joint_centre`, which places and measures
knees everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import similarity_fit
from SSRKDLib.surfaces.mesh import Mesh

TRAINING_PEOPLE = range(20)
HELD_OUT_PEOPLE = range(20, 26)

#: The part of the femur and of the tibia that carries the frame: within this height of the joint.
FRAME_REACH_MM = 80.0


@dataclass(frozen=True)
class Population:
    """``vertices[bone]`` is ``[26, N, 3]`` mm, ``faces[bone]`` is ``[M, 3]``, one for everybody."""

    vertices: dict[str, np.ndarray]
    faces: dict[str, np.ndarray]


@lru_cache(maxsize=1)
def load_population() -> Population:
    """The bundled 26 people, each bone in the person's posed leg (frame of LLP26, moved so that
    the mean knee's joint is at the origin)."""
    with (files("SSRKDLib") / "data" / "population" / "llp26.npz").open("rb") as stream:
        data = np.load(stream)
        quantum = float(data["quantum_mm"])
        vertices = {
            bone: data[f"{bone}_mean"].astype(np.float64)
            + data[f"{bone}_offset"].astype(np.float64) * quantum
            for bone in BONES
        }
        faces = {bone: data[f"{bone}_faces"].astype(np.int64) for bone in BONES}
        return Population(vertices, faces)


def load_person(index: int) -> dict[str, Mesh]:
    """One of the 26 people as four closed meshes, mm, joint near the origin."""
    population = load_population()
    return {bone: Mesh(population.vertices[bone][index], population.faces[bone]) for bone in BONES}


@dataclass(frozen=True)
class ShapeModel:
    """Principal components of the training people's knees in their canonical frames.

    Attributes:
        mean: ``[V, 3]`` all bones' vertices in the order of ``BONES``, mm.
        modes: ``[K, V, 3]`` orthonormal directions (over 3 V), strongest first.
        deviations: ``[K]`` standard deviation along each, mm.
        slices: the rows of each bone.
        faces: triangles of each bone, numbered within the bone.
    """

    mean: np.ndarray
    modes: np.ndarray
    deviations: np.ndarray
    slices: dict[str, slice]
    faces: dict[str, np.ndarray]

    def split(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """``[V, 3]`` as one array per bone."""
        return {bone: points[rows] for bone, rows in self.slices.items()}


@lru_cache(maxsize=1)
def shape_model() -> ShapeModel:
    """The model of people 0 to 19; nothing of the held-out people enters it."""
    population = load_population()
    ends = np.cumsum([0] + [population.vertices[bone].shape[1] for bone in BONES])
    slices = {bone: slice(ends[i], ends[i + 1]) for i, bone in enumerate(BONES)}
    people = [
        np.concatenate([population.vertices[bone][person] for bone in BONES])
        for person in TRAINING_PEOPLE
    ]
    # Alignment and mean depend on each other; twice is enough for both to settle.
    mean = np.mean(people, axis=0)
    for _ in range(2):
        template = {bone: mean[rows] for bone, rows in slices.items()}
        aligned = []
        for person in people:
            frame = canonical_frame({b: person[s] for b, s in slices.items()}, template)
            aligned.append((person - frame[:3, 3]) @ frame[:3, :3])
        mean = np.mean(aligned, axis=0)
    residual = np.stack(aligned).reshape(len(aligned), -1) - mean.ravel()
    _, singular, modes = np.linalg.svd(residual, full_matrices=False)
    count = len(people) - 1
    return ShapeModel(
        mean=mean,
        modes=modes[:count].reshape(count, -1, 3),
        deviations=singular[:count] / np.sqrt(count),
        slices=slices,
        faces=population.faces,
    )


def halfway_frame(femur_fit: np.ndarray, tibia_fit: np.ndarray) -> np.ndarray:
    """The rigid 4x4 halfway between two similarity transforms of the mean knee."""
    rotations = Rotation.from_matrix(
        [fit[:3, :3] / np.cbrt(np.linalg.det(fit[:3, :3])) for fit in (femur_fit, tibia_fit)]
    )
    between = (rotations[0].inv() * rotations[1]).as_rotvec()
    matrix = np.eye(4)
    matrix[:3, :3] = (rotations[0] * Rotation.from_rotvec(between / 2)).as_matrix()
    matrix[:3, 3] = (femur_fit[:3, 3] + tibia_fit[:3, 3]) / 2
    return matrix


def canonical_frame(
    bones: dict[str, np.ndarray], template: dict[str, np.ndarray] | None = None
) -> np.ndarray:
    """The canonical frame of a knee given in correspondence with the population.

    Args:
        bones: ``[N, 3]`` mm per bone (femur and tibia are used).
        template: the mean knee, by default that of :func:`shape_model`.

    Returns:
        4x4 rigid, canonical to the knee's frame. Its origin is a fit of the mean knee, not the
        joint's centre (see the module's text).
    """
    return halfway_frame(*(bone_place(bones, bone, template) for bone in ("femur", "tibia")))


def bone_place(
    bones: dict[str, np.ndarray], bone: str, template: dict[str, np.ndarray] | None = None
) -> np.ndarray:
    """The similarity transform (4x4) that carries the mean knee's bone, near the joint, onto a
    knee's; arguments as for :func:`canonical_frame`."""
    if template is None:
        model = shape_model()
        template = model.split(model.mean)
    near = np.abs(template[bone][:, 2]) < FRAME_REACH_MM
    return similarity_fit(template[bone][near], bones[bone][near])
