"""Tensors in 8 bits: what comes back, how small the file is, and what is refused."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load, save  # noqa: E402

from SSRKDLib.core.errors import OutputError, WeightsError  # noqa: E402
from SSRKDLib.weights.archive import MANIFEST, TENSORS, read_member  # noqa: E402
from SSRKDLib.weights.bundle import copy_bundle, read_bundle, write_bundle  # noqa: E402
from Testing.support.weights_checks import refused  # noqa: E402

_WEIGHT = "student.conv.weight"


def manifest(storage="int8"):
    return {
        "name": "small", "title": "Small", "kind": "ssrkd", "storage": storage,
        "networks": {"student": {"architecture": "test", "arguments": {}}}, "labels": {},
        "geometry": {}, "normalisation": {}, "training": {}, "scores": {}, "licence": "MIT",
    }  # fmt: skip


def tensors():
    torch.manual_seed(0)
    # Channels a million times apart, one of zeros, and one too small for a step.
    size = torch.tensor([1e3, 1.0, 1e-3, 0.0, 1e-44])[:, None, None, None]
    return {
        _WEIGHT: torch.randn(5, 400, 3, 3) * size,
        "student.small.weight": torch.randn(4, 3, 3, 3),
        "student.point.weight": torch.randn(200, 300),
        "student.conv.bias": torch.randn(5) * 1e6,
        "student.count": torch.tensor(7),
    }


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "small.zip"
    write_bundle(path, manifest(), tensors())
    return path


def test_values_come_back_within_half_a_step_of_their_channel(bundle):
    found, given = read_bundle(bundle).tensors, tensors()
    assert found.keys() == given.keys() and found[_WEIGHT].dtype == torch.float32
    off = (found[_WEIGHT] - given[_WEIGHT]).abs().flatten(1).amax(1)
    half_a_step = given[_WEIGHT].abs().flatten(1).amax(1) / 127 / 2
    assert (off <= half_a_step * 1.001 + 1e-43).all()
    # Small kernels and matrices are kept to half precision, vectors and counts as they are.
    for key in given.keys() - {_WEIGHT}:
        half = given[key].dim() >= 2
        assert torch.equal(found[key], given[key].half().float() if half else given[key])


def test_what_was_read_is_written_as_it_was(bundle, tmp_path):
    first = read_bundle(bundle)
    write_bundle(tmp_path / "again.zip", first.manifest, first.tensors)
    again = read_bundle(tmp_path / "again.zip").tensors[_WEIGHT]
    assert torch.allclose(again, first.tensors[_WEIGHT], rtol=1e-6, atol=0)


def test_an_archive_is_deflated_and_its_copy_as_well(bundle, tmp_path):
    copy_bundle(bundle, tmp_path / "copy.zip")
    assert (tmp_path / "copy.zip").read_bytes() == bundle.read_bytes()
    write_bundle(tmp_path / "half.zip", manifest("float16"), tensors())
    kinds = []
    for path in (bundle, tmp_path / "half.zip"):
        with zipfile.ZipFile(path) as archive:
            kinds.append([info.compress_type for info in archive.infolist()])
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    assert kinds == [[stored, deflated], [stored, stored]]


def test_only_a_bundle_and_nothing_else_is_replaced(bundle, tmp_path):
    target, link = tmp_path / "target.zip", tmp_path / "link.zip"
    copy_bundle(bundle, target)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("notes.txt", "mine")
    link.symlink_to(target)
    before = target.read_bytes()
    for place in (target, link):
        with pytest.raises(OutputError, match="is not a weights bundle, and would be replaced"):
            copy_bundle(bundle, place)
    assert target.read_bytes() == before and link.is_symlink()
    target.write_bytes(bundle.read_bytes()[:-40])  # a damaged one
    copy_bundle(bundle, target)
    assert target.read_bytes() == bundle.read_bytes()


def test_a_network_that_diverged_is_not_written(tmp_path):
    bad = tensors()
    bad[_WEIGHT][0, 0, 0, 0] = float("nan")
    with pytest.raises(WeightsError, match="conv.weight contains values that are not finite"):
        write_bundle(tmp_path / "bad.zip", manifest(), bad)
    assert list(tmp_path.iterdir()) == []


def _with_scale(scale):
    def change(stored):
        stored[_WEIGHT + ".scale"] = scale(stored[_WEIGHT + ".scale"])

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda stored: stored.pop(_WEIGHT + ".scale"), "no usable scale: it has none"),
        (_with_scale(lambda s: s[:3]), r"5 numbers expected, torch.float32 \(3,\) found"),
        (_with_scale(lambda s: s[:, None]), r"\(5, 1\) found"),
        (_with_scale(lambda s: s.to(torch.int8)), r"torch.int8 \(5,\) found"),
        (_with_scale(lambda s: s * float("nan")), "not all are finite and above 0"),
        (_with_scale(lambda s: s * 0), "not all are finite and above 0"),
        (_with_scale(lambda s: -s), "not all are finite and above 0"),
        (_with_scale(lambda s: s * 0 + 3e38), "values that are not finite"),
        (lambda stored: stored.update({"student.x": stored["student.count"].to(torch.int8)}),
         "student.x has no usable scale"),
    ],
)  # fmt: skip
def test_scales_that_lie_are_refused(bundle, change, match):
    stored = load(read_member(bundle, TENSORS))
    change(stored)
    data = save({key: tensor.contiguous() for key, tensor in stored.items()})
    text = json.loads(read_member(bundle, MANIFEST))
    text["sha256"] = hashlib.sha256(data).hexdigest()
    _rezip(bundle, json.dumps(text).encode(), data)
    refused(match, bundle)


def test_damage_is_found(bundle):
    text, data = read_member(bundle, MANIFEST), read_member(bundle, TENSORS)
    _rezip(bundle, text, data[:-1] + bytes([data[-1] ^ 1]))
    refused(re.escape("the SHA-256 of model.safetensors"), bundle)
    _rezip(bundle, text, data)
    raw = bundle.read_bytes()
    bundle.write_bytes(raw[: len(raw) // 2])
    refused("damaged or was cut off", bundle)


def _rezip(path, text, data):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, text)
        archive.writestr(TENSORS, data)
