"""Import of the published checkpoints: everything fits, or nothing gets in."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from SSRKDLib.core.errors import WeightsError  # noqa: E402
from SSRKDLib.networks.official_segmenter import OfficialSegmenter  # noqa: E402
from SSRKDLib.weights import catalogue, official_import  # noqa: E402
from SSRKDLib.weights.bundle import read_bundle, read_manifest  # noqa: E402
from SSRKDLib.weights.state_dict import built  # noqa: E402
from Testing.support.shared_data import needs_shared, official_arrays  # noqa: E402
from Testing.support.weights_checks import refused, use_only  # noqa: E402

OFFICIAL_FILES = {"bone_seg": "seg", "recon_ct": "ct", "recon_xray": "xray"}


@pytest.fixture
def user(tmp_path, monkeypatch):
    return use_only(tmp_path, monkeypatch)


class Payload:
    """Unpickling this would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_code_in_a_checkpoint_does_not_run(tmp_path, user, form):
    file, trace = tmp_path / "recon_xray.pth", tmp_path / "was-run"
    if form == "torch":
        torch.save({"frontal_filter.conv1.weight": Payload(trace)}, file)
    else:
        file.write_bytes(pickle.dumps(Payload(trace), protocol=2))
    refused("other than plain tensors", file, catalogue.import_bundle)
    assert not trace.exists() and not user.exists()


def small_state(name):
    """A state_dict with the right keys and shapes that takes no time to make."""
    cls = official_import.architecture_class(official_import.CHECKPOINTS[name].architecture)
    with torch.device("meta"):
        template = cls().state_dict()
    # expand: one number stands for all, so that the file stays small.
    return {k: torch.zeros((), dtype=t.dtype).expand(t.shape) for k, t in template.items()}


def saved(path, content):
    torch.save(content, path)
    return path


@needs_shared
@pytest.mark.parametrize("name", OFFICIAL_FILES)
def test_official_weights_arrive_unchanged(tmp_path, name):
    arrays = official_arrays(OFFICIAL_FILES[name])
    state = {key: torch.from_numpy(array) for key, array in arrays.items()}
    pair = official_import.CHECKPOINTS[name].pair
    # B must fit and is not kept.
    content = {"A": state, "B": small_state(name)} if pair else state
    file, target = saved(tmp_path / "f.pth", content), tmp_path / "official.zip"
    assert official_import.identify_checkpoint(file) == name

    official_import.import_official({name: file}, target)

    bundle = read_bundle(target)
    network = official_import.CHECKPOINTS[name].network
    found = bundle.network_tensors(network)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in state.items())
    source = bundle.manifest["training"]["sources"][name]
    assert source["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert source["kept"] == ("A of A and B" if pair else "all")
    cls = official_import.architecture_class(bundle.manifest["networks"][network]["architecture"])
    built(cls, {}, found, "official-ssrkd, " + network)


def test_official_files_join_one_after_the_other(tmp_path, user):
    # Data-parallel training leaves a prefix, which goes.
    xray = {"module." + k: t for k, t in small_state("recon_xray").items()}
    seg = small_state("bone_seg")
    first = catalogue.import_bundle(saved(tmp_path / "x.pth", xray))
    assert list(read_manifest(first.path)["networks"]) == ["student"]
    second = catalogue.import_bundle([saved(tmp_path / "s.pth", {"A": seg, "B": seg})])
    assert second == first and second.name == "official-ssrkd" and second.kind == "official"
    both = read_bundle(second.path)
    assert list(both.manifest["networks"]) == ["student", "segmenter"]
    assert set(both.manifest["training"]["sources"]) == {"recon_xray", "bone_seg"}
    assert set(both.network_tensors("student")) == set(small_state("recon_xray"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"outc.conv.weight": torch.zeros(3, 64, 1, 1)}, r"1 entry does.*outc.conv.weight: shape"),
        ({"outc.conv.bias": None, "inc.double_conv.0.weight": None}, r"2 entries.*inc.*: missing"),
        ({"extra.weight": torch.zeros(1)}, "extra.weight: unknown"),
        ({"outc.conv.bias": torch.zeros(2, dtype=torch.int64)}, "type torch.int64"),
        ({"outc.conv.bias": "text"}, "not a plain tensor"),
        ({"outc.conv.bias": torch.zeros(2, device="meta")}, "not a plain tensor"),
        ({"outc.conv.bias": torch.zeros(2).to_sparse()}, "not a plain tensor"),
    ],
)
@pytest.mark.parametrize("network", ["A", "B"])
def test_checkpoint_that_does_not_fit_is_refused_whole(tmp_path, user, change, match, network):
    good = small_state("bone_seg")
    bad = {key: value for key, value in {**good, **change}.items() if value is not None}
    file = saved(tmp_path / "s.pth", {"A": good, "B": good, network: bad})
    refused(f"bone_seg, network {network}.*{match}", file, catalogue.import_bundle)
    assert not user.exists()


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda a, b: {"A": prefixed(a, "_orig_mod."), "B": prefixed(b, "_orig_mod.")},
        lambda a, b: {"A": prefixed(a, "module._orig_mod."), "B": prefixed(b, "module.")},
        lambda a, b: {"A": a, "B": b, "epoch": 3, "best": np.float64(0.9), "n": np.int32(4)},
        lambda a, b: {"state_dict": {"A": a, "B": b}, "optimizer": {"lr": 1e-3}},
        lambda a, b: {"model": {"state_dict": {"A": prefixed(a, "model."), "B": b}}},
        lambda a, b: {
            "state_dict": {
                **prefixed(a, "model.A."),
                **prefixed(b, "model.B."),
                "loss.weight": torch.ones(4),
            }
        },
    ],
)
def test_what_trainings_put_around_a_network_goes(tmp_path, user, wrapped):
    state = small_state("bone_seg")
    file = saved(tmp_path / "s.pth", wrapped(state, state))
    bundle = read_bundle(catalogue.import_bundle(file).path)
    found = bundle.network_tensors("segmenter")
    assert set(found) == set(state)
    assert all(torch.equal(found[key], tensor) for key, tensor in state.items())


def prefixed(state, prefix):
    return {prefix + key: tensor for key, tensor in state.items()}


def test_one_bad_file_keeps_the_good_one_out(tmp_path, user):
    seg, xray = small_state("bone_seg"), small_state("recon_xray")
    xray.popitem()
    files = [
        saved(tmp_path / "s.pth", {"A": seg, "B": seg}),
        saved(tmp_path / "x.pth", xray),
    ]
    refused("recon_xray.*projector.weight: missing", files, catalogue.import_bundle)
    refused("same official checkpoint", files[:1] * 2, catalogue.import_bundle)
    assert not user.exists()


def test_files_that_are_no_official_checkpoint(tmp_path, user):
    seg = small_state("bone_seg")
    file = tmp_path / "f.pth"
    refused("was not found", file, catalogue.import_bundle)
    refused("none of the SSR-KD", saved(file, {"weight": torch.zeros(1)}), catalogue.import_bundle)
    refused("none of the SSR-KD", saved(file, torch.zeros(1)), catalogue.import_bundle)
    refused("two networks", saved(file, seg), catalogue.import_bundle)
    saved(file, {"A": seg, "B": seg})
    with pytest.raises(WeightsError, match="given as recon_ct but is bone_seg"):
        official_import.import_official({"recon_ct": file}, user / "a.zip")
    file.write_bytes(file.read_bytes()[:5000])
    refused("cut off", file, catalogue.import_bundle)
    file.write_text("<html>Quota exceeded</html>")
    refused("not a PyTorch checkpoint", file, catalogue.import_bundle)
    assert not user.exists()


def test_old_torch_is_refused(tmp_path, monkeypatch):
    file = saved(tmp_path / "f.pth", {})
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    refused(
        "PyTorch 2.9.1.* safely. Update PyTorch to 2.10", file, official_import.identify_checkpoint
    )


def test_tensors_of_another_shape_are_refused():
    state = {**OfficialSegmenter(width=2).state_dict(), "outc.conv.bias": torch.ones(3)}
    with pytest.raises(WeightsError, match=r"small, segmenter.*shape \(3,\) instead of \(2,\)"):
        built(OfficialSegmenter, {"width": 2}, state, "small, segmenter")
