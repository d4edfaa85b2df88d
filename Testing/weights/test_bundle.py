"""Bundles: what is written comes back, and nothing damaged or hostile gets in."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from SSRKDLib.core.errors import OutputError, WeightsError  # noqa: E402
from SSRKDLib.models.knee_model import KneeModel  # noqa: E402
from SSRKDLib.weights import catalogue  # noqa: E402
from SSRKDLib.weights.bundle import (  # noqa: E402
    MANIFEST,
    TENSORS,
    copy_bundle,
    read_bundle,
    read_manifest,
    verify_bundle,
    write_bundle,
)
from Testing.support.command_checks import tree  # noqa: E402
from Testing.support.weights_checks import refused, use_only  # noqa: E402


def manifest(**changes):
    network = {"architecture": "test", "arguments": {"width": 2}}
    return {
        "name": "small",
        "title": "Small",
        "kind": "ssrkd",
        "networks": {"student": network, "segmenter": network},
        "labels": {"patella": 1},
        "geometry": {},
        "normalisation": {},
        "training": {},
        "scores": {},
        "licence": "MIT",
        **changes,
    }


def tensors():
    torch.manual_seed(0)
    return {
        "student.conv.weight": torch.randn(4, 3, 3, 3),
        "student.conv.bias": torch.randn(4) * 1e6,
        "segmenter.weight": torch.randn(5, 5).t(),
        "segmenter.count": torch.tensor(7),
    }


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "small.zip"
    write_bundle(path, manifest(), tensors())
    return path


@pytest.fixture
def user(tmp_path, monkeypatch):
    return use_only(tmp_path, monkeypatch)


def rezip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# Round trip ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.zip", "a-folder"])
def test_round_trip(tmp_path, name):
    path = tmp_path / "new" / name
    for _ in range(2):  # the second replaces the first
        write_bundle(path, manifest(), tensors())
    found = read_bundle(path)
    assert found.manifest == verify_bundle(path) == read_manifest(path)
    assert found.manifest["format"] == 1 and found.path == path
    assert found.tensors.keys() == tensors().keys()
    assert all(torch.equal(found.tensors[key], tensor) for key, tensor in tensors().items())
    assert set(found.network_tensors("student")) == {"conv.weight", "conv.bias"}
    with pytest.raises(WeightsError, match="contain no locator"):
        found.network_tensors("locator")
    assert [p.name for p in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.zip", "a-folder"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, name):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_bundle(tmp_path / name, manifest(), tensors())
    before = tree(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    for path in (tmp_path / name, tmp_path / "new" / "er" / name):
        with pytest.raises(OutputError, match=f"{name}.* cannot be written: the disk is full"):
            write_bundle(path, manifest(title="Another"), tensors())
        assert tree(tmp_path) == before


def test_same_weights_make_the_same_file(tmp_path):
    for name in ("a.zip", "b.zip"):
        write_bundle(tmp_path / name, manifest(), tensors())
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_half_precision_comes_back_single(tmp_path):
    path = tmp_path / "half.zip"
    write_bundle(path, manifest(storage="float16"), tensors())
    found = read_bundle(path).tensors
    assert found["student.conv.weight"].dtype == torch.float32
    assert torch.equal(
        found["student.conv.weight"], tensors()["student.conv.weight"].half().float()
    )
    # Vectors stay exact, beyond the range of half precision.
    assert torch.equal(found["student.conv.bias"], tensors()["student.conv.bias"])
    assert found["segmenter.count"] == 7


def test_too_large_for_half_precision_is_refused(tmp_path):
    large = {**tensors(), "segmenter.weight": torch.full((2, 2), 1e6)}
    with pytest.raises(WeightsError, match="not finite"):
        write_bundle(tmp_path / "half.zip", manifest(storage="float16"), large)
    assert list(tmp_path.iterdir()) == []


def test_tied_parameters_are_written(tmp_path):
    shared = torch.randn(3)
    networks = {"student": {"architecture": "test", "arguments": {}}}
    tied = {"student.a": shared, "student.b": shared}
    write_bundle(tmp_path / "t.zip", manifest(networks=networks), tied)
    assert torch.equal(read_bundle(tmp_path / "t.zip").tensors["student.b"], shared)


def test_a_failed_write_leaves_the_old_bundle(bundle):
    before = bundle.read_bytes()
    with pytest.raises(WeightsError, match="not finite"):
        write_bundle(bundle, manifest(), {**tensors(), "student.x": torch.tensor([float("nan")])})
    assert bundle.read_bytes() == before


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"chapter1\.txt"):
        write_bundle(tmp_path / "thesis", manifest(), tensors())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04 years of data")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="not a weights bundle"):
        write_bundle(tmp_path / "data.zip", manifest(), tensors())
    assert tree(tmp_path) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_bundle(tmp_path / "file" / "a.zip", manifest(), tensors())


# Damage -------------------------------------------------------------------------------


def test_absent(tmp_path):
    refused("no weights at", tmp_path / "none.zip")
    (tmp_path / "empty").mkdir()
    refused("contains no bundle.json", tmp_path / "empty")


def test_not_a_zip(tmp_path):
    (tmp_path / "page.zip").write_text("<html>Quota exceeded</html>")
    refused("neither a folder nor a zip", tmp_path / "page.zip")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated(bundle, share):
    bundle.write_bytes(bundle.read_bytes()[: int(share * bundle.stat().st_size)])
    refused("damaged or was cut off", bundle)
    refused("damaged or was cut off", bundle, read_manifest)


def test_flipped_byte_in_archive_and_in_folder(bundle, tmp_path):
    data = members_of(bundle)[TENSORS]
    raw = bytearray(bundle.read_bytes())
    raw[raw.index(data) + len(data) - 3] ^= 1
    bundle.write_bytes(raw)
    refused("damaged", bundle)

    folder = tmp_path / "folder"
    write_bundle(folder, manifest(), tensors())
    (folder / TENSORS).write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    refused("SHA-256", folder)
    (folder / TENSORS).unlink()
    refused("contains no model.safetensors", folder)


def test_exchanged_tensors(bundle):
    members = members_of(bundle)
    other = members[TENSORS].replace(b"conv.bias", b"conv.bios")
    rezip(bundle, [(MANIFEST, members[MANIFEST]), (TENSORS, other)])
    refused("SHA-256", bundle)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": 2}, "format version 2"),
        ({"format": None}, "format version None"),
        ({"licence": None}, "must give text"),
        ({"geometry": []}, "must give an object for geometry"),
        ({"name": "../evil"}, "has a name with"),
        ({"kind": "magic"}, "unknown kind"),
        ({"storage": "int4"}, "unknown storage"),
        ({"networks": {}}, "names no network"),
        ({"networks": {"student": {"architecture": "x"}}}, "architecture and arguments"),
    ],
)
def test_manifest_is_wrong(bundle, change, match):
    members = members_of(bundle)
    changed = {**json.loads(members[MANIFEST]), **change}
    rezip(bundle, [(MANIFEST, json.dumps(changed)), (TENSORS, members[TENSORS])])
    refused(match, bundle, read_manifest)


@pytest.mark.parametrize("key", ["name", "networks", "labels", "scores", "sha256"])
def test_manifest_lacks_a_key(bundle, key):
    members = members_of(bundle)
    shorter = {k: v for k, v in json.loads(members[MANIFEST]).items() if k != key}
    rezip(bundle, [(MANIFEST, json.dumps(shorter)), (TENSORS, members[TENSORS])])
    refused(f"lacks {key}", bundle, read_manifest)


@pytest.mark.parametrize(
    ("text", "match"),
    [(b"{", "not valid JSON"), (b"\xff\xfe", "JSON"), (b"[]", "object"), (b"[" * 500000, "JSON")],
)
def test_manifest_is_not_json(bundle, text, match):
    rezip(bundle, [(MANIFEST, text), (TENSORS, members_of(bundle)[TENSORS])])
    refused(match, bundle, read_manifest)


def test_bundle_with_right_hash_of_wrong_content(bundle):
    given = json.loads(members_of(bundle)[MANIFEST])

    def with_tensors(data):
        text = json.dumps({**given, "sha256": hashlib.sha256(data).hexdigest()})
        rezip(bundle, [(MANIFEST, text), (TENSORS, data)])

    from safetensors.torch import save

    with_tensors(b"not safetensors at all")
    refused("not a readable safetensors", bundle)
    with_tensors(save({"student.a": torch.tensor([float("nan")]), "segmenter.a": torch.zeros(1)}))
    refused("student.a contains values that are not finite", bundle)
    with_tensors(save({"student.weight": torch.zeros(1)}))
    refused(r"different networks \(segmenter\)", bundle)
    with_tensors(save({f"{n}.a": torch.zeros(1) for n in ("student", "segmenter", "stranger")}))
    refused(r"different networks \(stranger\)", bundle)


# Malice -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "a/../../evil", "..\\evil", "C:evil"])
def test_names_that_leave_the_folder(bundle, name):
    rezip(bundle, [*members_of(bundle).items(), (name, "x")])
    refused("outside of its folder", bundle)


def test_other_members(bundle):
    members = members_of(bundle)
    rezip(bundle, [*members.items(), ("readme.txt", "x")])
    refused("more than a weights bundle", bundle)
    with pytest.warns(UserWarning, match="Duplicate"):
        rezip(bundle, [*members.items(), (MANIFEST, "{}")])
    refused("more than a weights bundle", bundle)
    rezip(bundle, [("model.pth", "x")])
    refused("contains no bundle.json", bundle)


def test_absurd_sizes(bundle, tmp_path):
    text = members_of(bundle)[MANIFEST]
    rezip(bundle, [(MANIFEST, text), (TENSORS, bytes(50_000_000))], zipfile.ZIP_DEFLATED)
    refused("unpacked size that no weights have", bundle)
    rezip(bundle, [(MANIFEST, b" " * 2_000_000), (TENSORS, b"")])
    refused("absurd size", bundle, read_manifest)
    folder = tmp_path / "folder"
    write_bundle(folder, manifest(), tensors())
    os.truncate(folder / TENSORS, 3 << 30)  # sparse: takes no room
    refused("absurd size", folder)


# Catalogue ----------------------------------------------------------------------------


def test_import_list_find(bundle, user, tmp_path):
    assert catalogue.list_bundles() == [] and not user.parent.exists()
    with pytest.raises(WeightsError, match="no weights called 'virtual-knee'"):
        catalogue.find_bundle()

    info = catalogue.import_bundle(bundle)
    assert info == catalogue.BundleInfo("small", "Small", "ssrkd", user / "small.zip", "imported")
    assert info.path.read_bytes() == bundle.read_bytes()
    catalogue.import_bundle(bundle)
    copy_bundle(bundle, tmp_path / "shipped" / "virtual-knee.zip")
    write_bundle(
        tmp_path / "shipped" / "virtual-knee.zip", manifest(name="virtual-knee"), tensors()
    )
    (user / "broken.zip").write_bytes(bundle.read_bytes()[:100])
    (user / ".small.zip.part").write_bytes(b"")

    listed = catalogue.list_bundles()
    assert [(i.name, i.origin, i.ok) for i in listed] == [
        ("virtual-knee", "shipped", True),
        ("broken", "imported", False),
        ("small", "imported", True),
    ]
    assert "cut off" in listed[1].problem
    assert catalogue.find_bundle() == tmp_path / "shipped" / "virtual-knee.zip"
    assert catalogue.find_bundle("small") == user / "small.zip"
    assert catalogue.find_bundle(bundle) == bundle
    with pytest.raises(WeightsError, match="Choose one of: virtual-knee, small"):
        catalogue.find_bundle("smal")
    refused(
        "ship with SSRKD already",
        tmp_path / "shipped" / "virtual-knee.zip",
        catalogue.import_bundle,
    )


def test_nothing_is_imported_from_a_damaged_bundle(bundle, user):
    members = members_of(bundle)
    rezip(bundle, [(MANIFEST, members[MANIFEST]), (TENSORS, members[TENSORS][:-1])])
    refused("SHA-256", bundle, catalogue.import_bundle)
    assert not user.exists()


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("student", lambda m: m["networks"]["student"]["arguments"].update(layers=3)),
        ("segmenter", lambda m: m["networks"]["segmenter"]["arguments"].update(widths=-3)),
        ("framing", lambda m: m["geometry"]["framing"].update(near_pixels=0)),
        ("framing", lambda m: m["geometry"].pop("framing")),
    ],
)
def test_a_bundle_of_another_version_is_refused(tmp_path, part, change):
    """Sound files, but arguments that this version's networks do not know."""
    members = members_of(catalogue.find_bundle())
    described = json.loads(members[MANIFEST])
    change(described)
    path = tmp_path / "newer.zip"
    rezip(path, [(MANIFEST, json.dumps(described).encode()), (TENSORS, members[TENSORS])])
    verify_bundle(path)
    refused(f"another version of SSRKD .{part}", path, KneeModel.load)


def test_an_unusual_compression_is_refused(bundle):
    members = members_of(bundle)
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refused("compressed", bundle)


def test_listing_needs_no_torch(bundle, user, tmp_path):
    catalogue.import_bundle(bundle)
    program = (
        "import sys; sys.modules.update(torch=None, safetensors=None)\n"
        "from SSRKDLib.weights import catalogue, official_import\n"
        "print([info.name for info in catalogue.list_bundles()], catalogue.find_bundle('small'))\n"
        "from SSRKDLib.weights.bundle import read_bundle\n"
        "from SSRKDLib.core.errors import MissingDependencyError\n"
        "try: read_bundle(catalogue.find_bundle('small'))\n"
        "except MissingDependencyError as error: print(error)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert "'small'" in done.stdout
    assert re.search(r"python -m pip install (torch|safetensors)\n", done.stdout)
