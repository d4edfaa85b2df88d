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


@pytest.mark.package("torch")
@needs_gpu
def test_cuda_reads_a_ct_as_the_cpu_does():
    from SSRKDLib.ct.reading import CtScan
    from SSRKDLib.models.loading import load_ct_model
    from SSRKDLib.reconstruction.ct import reconstruct_ct
    from Testing.support.band_knee import band_ct

    scan = CtScan(*band_ct())
    on_cpu, on_gpu = (
        reconstruct_ct(scan, load_ct_model(None, device), "L", surface="field").bones
        for device in ("cpu", "cuda")
    )
    assert on_cpu and on_cpu.keys() == on_gpu.keys()
    for bone, mesh in on_cpu.items():
        assert point_distances(on_gpu[bone].vertices, mesh).mean() < 0.05


@pytest.mark.package("torch")
@needs_gpu
def test_a_gpu_that_is_too_small_is_told_and_left_where_any_device_will_do():
    from SSRKDLib.core.errors import DeviceMemoryError
    from SSRKDLib.models.loading import load_model, run_with_model
    from SSRKDLib.reconstruction.radiographs import reconstruct

    _, rig, exposures = plain_case()

    def made_on(device: str):
        def work(model):
            return reconstruct(exposures, rig, model, 2.0, surface="field").bones

        return run_with_model(work, load_model, None, device, lambda *_: None)

    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(60 * 2**20 / whole)
    try:
        bones, (warning,) = made_on("auto")
        assert len(bones) == 4 and "the CPU was used" in warning
        with pytest.raises(DeviceMemoryError, match="in small batches. Use the CPU"):
            made_on("cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
