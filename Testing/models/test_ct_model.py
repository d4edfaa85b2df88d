"""The teacher as a model: its predictions, in batches that fit, and which bundles contain it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.models import ct_model
from SSRKDLib.models.ct_model import CtModel, check_teacher
from SSRKDLib.models.official_model import bone_margins
from SSRKDLib.reconstruction import ct as ct_reconstruction
from SSRKDLib.reconstruction.ct import reconstruct_ct
from SSRKDLib.weights.bundle import read_bundle, write_bundle
from Testing.support.band_knee import BandModel, band_ct, band_teacher, write_band_bundle
from Testing.support.weights_checks import use_only


def test_the_teacher_s_finest_head_answers_at_the_voxels_middles():
    torch.manual_seed(5)
    teacher = band_teacher()
    for tensor in teacher.state_dict().values():
        if tensor.is_floating_point():
            tensor += 0.2 * torch.rand_like(tensor)
    manifest = {"name": "t", "kind": "ssrkd", "geometry": {"ct": {"voxel_mm": 1, "window": 32}}}
    model = CtModel(teacher.train(), manifest)  # it must see to evaluation mode itself
    values = np.random.default_rng(0).uniform(size=(32, 16, 48)).astype(np.float32)
    margins = model.margins(values)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in values.shape), indexing="ij"))
    points = torch.from_numpy(places.reshape(1, 3, -1).astype(np.float32))
    with torch.no_grad():
        encoded = teacher.encode(torch.from_numpy(values)[None, None])
        truth = bone_margins(teacher.query(encoded, points)[-1].logits[0].T).T.numpy()
    assert np.ptp(truth, axis=1).min() > 0.01
    np.testing.assert_allclose(margins.reshape(4, -1), truth, rtol=1e-3, atol=1e-3)
    assert margins.shape == (4, 32, 16, 48) and margins.dtype == np.float32


@pytest.mark.parametrize(
    "odd",
    [
        {"extent_mm": []}, {"extent_mm": -1}, {"extent_mm": float("nan")}, {"window": 1e999},
        {"window": 17}, {"voxel_mm": {}}, {"voxel_mm": 1e-9},
    ],
    ids=str,
)  # fmt: skip
def test_a_geometry_that_no_teacher_has_is_refused(odd):
    about = {"voxel_mm": 1, "window": 32, **odd}
    with pytest.raises(WeightsError):
        CtModel(None, {"name": "t", "kind": "ssrkd", "geometry": {"ct": about}})


def test_the_teacher_predicts_in_smaller_batches_where_memory_is_short(monkeypatch):
    class OutOfMemoryError(RuntimeError):
        """Looks like torch's."""

    manifest = {"name": "t", "kind": "official", "geometry": {}}
    model = CtModel(band_teacher(), manifest)
    values = np.random.default_rng(0).uniform(size=(32, 32, 32)).astype(np.float32)
    plain = model.margins(values)
    sizes, ask = [], model._teacher.surface_classifier.forward

    def small_memory(features):
        sizes.append(features.shape[2])
        if features.shape[2] > 9000:
            raise OutOfMemoryError
        return ask(features)

    monkeypatch.setitem(ct_model._AT_ONCE, "cpu", 1 << 18)
    monkeypatch.setattr(model._teacher.surface_classifier, "forward", small_memory)
    np.testing.assert_allclose(model.margins(values), plain, atol=1e-4)
    assert sizes[0] == values.size and max(sizes[-4:]) <= 9000


def test_a_bundle_tells_how_its_teacher_sees_a_ct(tmp_path, monkeypatch):
    user = use_only(tmp_path, monkeypatch)
    path = write_band_bundle(tmp_path / "own.zip", voxel=1.25, window=48)
    model = CtModel.from_bundle(read_bundle(path))
    assert (model.voxel, model.window, model.notes, model.name) == (1.25, 48, (), "bands")
    path = write_band_bundle(tmp_path / "published.zip", official=True)
    model = CtModel.from_bundle(read_bundle(path))
    assert (model.voxel, model.window) == (None, 128)
    assert "stretched to 256 voxels" in model.notes[0]
    values, affine = band_ct(size=(40, 45, 55), spacing=(3.6, 3.2, 3.2))
    monkeypatch.setattr(ct_reconstruction, "PUBLISHED_SIZE", 64)
    stand_in = BandModel(voxel=None)
    stand_in.notes = model.notes
    result = reconstruct_ct(CtScan(values, affine), stand_in)
    assert result.report["warnings"] == [*model.notes]
    assert result.report["ct"]["seen_as_voxel_mm"] == [2.25, 2.25, 2.75]
    for about in ({"voxel": 0.0}, {"voxel": 50.0}, {"window": 40}, {"window": 0}):
        path = write_band_bundle(tmp_path / "odd.zip", **about)
        with pytest.raises(WeightsError, match="voxels"):
            CtModel.from_bundle(read_bundle(path))
    with pytest.raises(WeightsError, match="no weights called"):
        check_teacher("none-such")
    assert not user.exists()


def test_weights_without_a_teacher_say_which_have_one(tmp_path, monkeypatch):
    user = use_only(tmp_path, monkeypatch)
    bare = tmp_path / "shipped" / "bare.zip"
    bundle = read_bundle(write_band_bundle(tmp_path / "own.zip"))
    networks = {"student": bundle.manifest["networks"]["teacher"]}
    write_bundle(
        bare, {**bundle.manifest, "name": "bare", "networks": networks},
        {"student.x": torch.zeros(2)},
    )  # fmt: skip
    with pytest.raises(WeightsError, match="contain no teacher.*Import weights that do.*recon_ct"):
        check_teacher("bare")
    write_band_bundle(user / "bands.zip")
    with pytest.raises(
        WeightsError, match="'bare' contain no teacher.*Choose weights that do: bands"
    ):
        check_teacher("bare")
    check_teacher("bands")
