"""Radiographs of a virtual knee and the bundled weights, for tests of the whole pipeline."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.geometry.views import Rig
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.simulation.population import load_person
from SSRKDLib.simulation.surface_phantom import material_paths, random_leg
from SSRKDLib.surfaces.mesh import Mesh

#: Linear attenuation of cortical, trabecular, muscle and fat, 1/mm at 60 keV.
ATTENUATION = np.array([0.0604, 0.0270, 0.0215, 0.0188])


@lru_cache(maxsize=1)
def model() -> KneeModel:
    """The shipped weights."""
    return KneeModel.load()


def person(index: int, shift=(0.0, 0.0, 0.0), mirror: bool = False) -> dict[str, Mesh]:
    """A person of the bundled population, joint at ``shift``."""
    matrix = np.diag([-1.0 if mirror else 1.0, 1.0, 1.0, 1.0])
    matrix[:3, 3] = shift
    return {bone: mesh.transformed(matrix) for bone, mesh in load_person(index).items()}


def expose(bones: dict[str, Mesh], rig: Rig, joint=(0.0, 0.0, 0.0)) -> list[Exposure]:
    """Noiseless radiographs of a leg of ordinary girth, the same leg for every rig."""
    centred = {bone: mesh.vertices - joint for bone, mesh in bones.items()}
    faces = {bone: mesh.faces for bone, mesh in bones.items()}
    leg = random_leg(centred, faces, np.random.default_rng(7))
    shift = np.eye(4)
    shift[:3, 3] = -np.asarray(joint)
    exposures = []
    for view in rig.views:
        paths, _ = material_paths(leg, view.transformed(shift))
        image = np.tensordot(ATTENUATION, paths, 1).astype(np.float32)
        exposures.append(Exposure(view, image, np.ones(image.shape, bool)))
    return exposures


@lru_cache(maxsize=4)
def plain_case(index: int = 21) -> tuple[dict[str, Mesh], Rig, list[Exposure]]:
    """A held-out person in the orthogonal rig, joint at the origin."""
    bones, rig = person(index), orthogonal()
    return bones, rig, expose(bones, rig)
