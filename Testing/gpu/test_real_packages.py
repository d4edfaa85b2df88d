"""The real TIGRE, PyTorch3D and CUDA: the same numbers as on the CPU."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from SSRKDLib.geometry.rig_presets import c_arm  # noqa: E402
from SSRKDLib.simulation import joseph, tigre  # noqa: E402
from SSRKDLib.simulation.joseph import Volume  # noqa: E402
from SSRKDLib.surfaces.distance import point_distances  # noqa: E402
from Testing.support.bundled import plain_case  # noqa: E402
from Testing.support.projection_truth import relative_l2  # noqa: E402


def needs_package(package: str):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")


@pytest.mark.package("pytigre")
@needs_package("tigre")
@needs_gpu
def test_tigre_projects_as_the_cpu_does():
    k, j, i = np.indices((80, 80, 80)) - 39.5
    values = np.exp(-((i - 8) ** 2 + (j + 5) ** 2 + (k - 3) ** 2) / 200) * 0.02
    to_world = np.diag([1.5, 1.5, 1.5, 1.0])
    to_world[:3, 3] = -39.5 * 1.5
    volume = Volume(torch.from_numpy(values.astype(np.float32)), to_world)
    assert tigre.available()
    for view in c_arm().views:
        image = tigre.project(volume, view)
        assert image is not None
        assert relative_l2(image.numpy(), joseph.project(volume, view).numpy()) < 0.01


@pytest.mark.package("pytorch3d")
@needs_package("pytorch3d")
def test_pytorch3d_measures_as_vtk_does():
    from SSRKDLib.simulation.population import load_person

    bone = load_person(20)["patella"]
    points = bone.vertices[::7] + np.random.default_rng(0).normal(scale=3, size=(1, 3))
    difference = point_distances(points, bone, "pytorch3d") - point_distances(points, bone)
    assert np.abs(difference).max() < 1e-3


@pytest.mark.package("torch")
@needs_gpu
def test_cuda_reconstructs_as_the_cpu_does():
    from SSRKDLib.models.knee_model import KneeModel
    from SSRKDLib.reconstruction.radiographs import reconstruct

    _, rig, exposures = plain_case()
    on_cpu = reconstruct(exposures, rig, KneeModel.load(None, "cpu"), 2.0)
    on_gpu = reconstruct(exposures, rig, KneeModel.load(None, "cuda"), 2.0)
    for bone, mesh in on_cpu.bones.items():
        assert point_distances(on_gpu.bones[bone].vertices, mesh).max() < 0.2
