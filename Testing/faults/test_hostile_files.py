"""Files that once ended, stopped or filled a process are refused in one sentence, and so is what is
no file at all."""

from __future__ import annotations

import os
import re
import zipfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from SSRKDLib.core import input_files, zip_files
from SSRKDLib.core.errors import GeometryError, ImageError, InputError, OutputError, WeightsError
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.core.output_manifest import MANIFEST
from SSRKDLib.ct.dicom_series import find_series
from SSRKDLib.datasets.case_folder import PREPARED_CASE
from SSRKDLib.datasets.npz import read_npz
from SSRKDLib.datasets.sources import find_jobs
from SSRKDLib.datasets.splits import PREPARED_CASES
from SSRKDLib.evaluation.case_results import read_result
from SSRKDLib.evaluation.cohort import EVALUATION
from SSRKDLib.evaluation.tables import COMPARISON
from SSRKDLib.images import dicom_files
from SSRKDLib.images.dicom_files import read_dicom
from SSRKDLib.radiographs.rig_file import read_rig, read_written_rig
from SSRKDLib.reconstruction.result_folder import RECONSTRUCTION, read_report
from SSRKDLib.surfaces.label_names import label_names
from SSRKDLib.surfaces.mesh_files import read_meshes
from SSRKDLib.weights.archive import BUNDLE, read_member
from SSRKDLib.weights.bundle import read_manifest
from SSRKDLib.weights.pytorch_files import read_pytorch
from Testing.fuzz import __main__ as fuzz
from Testing.fuzz import replay
from Testing.fuzz.readers import READERS, ROOT, SAMPLES

#: What writes folders, and a file that tells so.
OWN = [
    (RECONSTRUCTION, "report.json"), (EVALUATION, "evaluation.json"), (COMPARISON, "compare.csv"),
    (BUNDLE, "bundle.json"), (PREPARED_CASES, "info.json"), (PREPARED_CASE, "cases.csv"),
    (RECONSTRUCTION, MANIFEST),
]  # fmt: skip

FOUND = Path(replay.__file__).with_name("found")
FILES = sorted(path for path in FOUND.glob("*/*") if path.is_file())


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once_is_refused_for_ever_or_read(path):
    if path.parent.name == "checkpoint":
        pytest.importorskip("lightning")
    sound = path.name.startswith(replay.SOUND)
    with nullcontext() if sound else pytest.raises(InputError):
        READERS[path.parent.name](path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of POSIX")
@pytest.mark.parametrize("kind", ["radiograph", "dicom", "ct", "rig", "calibration", "checkpoint"])
def test_a_pipe_is_no_file(tmp_path, kind):
    os.mkfifo(tmp_path / "pipe.nrrd")
    with pytest.raises(InputError, match="a pipe or a device"):
        READERS[kind](tmp_path / "pipe.nrrd")


@pytest.mark.skipif(os.name != "posix", reason="such names are of POSIX")
def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.dcm")
    Path(path).write_bytes(b"x")
    with pytest.raises(InputError, match="is not UTF-8") as caught:
        READERS["radiograph"](Path(path))
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("kind", "name", "most"),
    [
        ("radiograph", "a.png", "4 GB"), ("dicom", "a.dcm", "4 GB"), ("ct", "a.nrrd", "4 GB"),
        ("label_map", "a.nrrd", "4 GB"), ("checkpoint", "a.ckpt", "4 GB"),
        ("rig", "a.json", "16 MB"), ("calibration", "a.txt", "64 kB"),
    ],
)  # fmt: skip
def test_a_file_of_a_terabyte_is_refused_by_its_size(tmp_path, kind, name, most):
    sparse(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}' is larger than {most}"):
        READERS[kind](tmp_path / name)


@pytest.mark.parametrize("wide", [False, True], ids=["32 bits", "64 bits"])
def test_an_archive_of_members_without_end_is_not_opened(tmp_path, monkeypatch, wide):
    monkeypatch.setattr(zip_files, "_LARGEST_TABLE", 1000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10 if wide else 1 << 16)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(30):
            archive.writestr(f"{number}.npy", b"")
    if wide:  # as where the other record holds the size
        path.write_bytes(path.read_bytes()[:-10] + b"\xff" * 4 + path.read_bytes()[-6:])
    for read in (partial(read_member, member="bundle.json"), read_npz, read_pytorch):
        with pytest.raises(InputError) as caught:
            read(path)
        reason = caught.value.__cause__
        assert isinstance(reason, zipfile.BadZipFile) and "table of contents takes" in str(reason)


def test_zeros_behind_a_dicom_header_are_no_elements_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_files, "_MOST_READS", 1000)
    path = tmp_path / "a.dcm"
    path.write_bytes((SAMPLES / "SSRKD_frontal.dcm").read_bytes()[:400] + bytes(16_000))
    with pytest.raises(ImageError, match="elements without end"):
        read_dicom(path)


def test_a_folder_that_is_no_series_is_looked_through_to_a_bound(tmp_path, monkeypatch):
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.dcm").write_bytes(b"no DICOM file")
    with pytest.raises(ImageError, match="contains no DICOM series"):
        find_series(tmp_path)
    monkeypatch.setattr(input_files, "MOST_FILES", 3)
    with pytest.raises(ImageError, match="more than 3 files. Choose the folder that contains the"):
        find_series(tmp_path)


def test_seconds_of_damaged_files_find_nothing(tmp_path, capsys):
    """``make fuzz`` in small: a minute of it would not fit into the tests' time."""
    pytest.importorskip("lightning")
    assert fuzz.main(["--seconds", "3", "--seed", "1", "--keep", str(tmp_path)]) == 0, tmp_path
    assert "0 ended as none may" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("knee.csv", b"label,name\n2," + b"x" * 200_000),  # longer than a cell of csv may be
        ("labels.csv", 1 << 40),
        ("knee.json", 1 << 40),
        ("knee.json", b"[" * 100_000),
        ("knee.ctbl", 1 << 40),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_beside_a_label_map_are_text_of_a_size(tmp_path, name, content):
    with (tmp_path / name).open("wb") as stream:
        stream.write(content) if isinstance(content, bytes) else stream.truncate(content)
    with pytest.raises(InputError, match=name):
        label_names(tmp_path / "knee.nrrd", [np.zeros((2, 2, 2))])


def test_of_a_key_that_stands_twice_none_counts(tmp_path):
    """The standard leaves open which (RFC 8259): two programs would read two rigs."""
    path = tmp_path / "rig.json"
    text = '{\n  "version": 1,\n  "views": [],\n  "views": [7]\n}\n'
    path.write_text(text)
    with pytest.raises(GeometryError, match="rig.json.*the key 'views' stands twice"):
        read_rig(path)
    assert read_written_rig(path) is None
    assert input_files.json_or_none(path) is None
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(WeightsError, match="bundle.json is not valid JSON"):
        read_manifest(tmp_path)


def test_json_is_read_through_one_door_only():
    """Which refuses doubled keys (SSRKDLib/core/input_files.py)."""
    library = ROOT / "SSRKDLib"
    found = {
        path.relative_to(library).as_posix()
        for path in library.rglob("*.py")
        if "json.loads(" in path.read_text(encoding="utf-8")
    }
    assert found - {"core/input_files.py"} == {
        "datasets/virtual_cohort.py", "training/step_log.py", "weights/releases.py",  # own ones
        "worker/protocol.py",  # messages
    }  # fmt: skip


def test_a_surface_of_any_size_is_not_read(tmp_path):
    sparse(tmp_path / "femur.obj")
    with pytest.raises(InputError, match="larger than 1 GB"):
        read_meshes(tmp_path)


def test_files_are_read_whole_through_one_door_only():
    """Which takes no pipe, no device and no text of any size (SSRKDLib/core/input_files.py)."""
    whole = re.compile(r"\.read_(?:text|bytes)\(|json\.load\(|(?:stream|file)\.read\(\)")
    library = ROOT / "SSRKDLib"
    found = {
        path.relative_to(library).as_posix()
        for path in library.rglob("*.py")
        if whole.search(path.read_text(encoding="utf-8"))
    }
    assert found - {"core/input_files.py"} == {
        "core/reading_child.py",  # the system's own
        "images/pictures.py",  # from 4096 bytes before a file's end
        "surfaces/ply.py",  # whose size mesh_files.py has looked at
        "weights/archive.py",  # members whose size was looked at
        "weights/releases.py",  # the list of releases that comes with the program
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of POSIX")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path), sparse])
def test_what_a_folder_holds_beside_its_surfaces_is_looked_at_first(make, tmp_path):
    """Under the names of what this program writes: no pipe is waited for, no device read."""
    for number, (kind, name) in enumerate(OWN):
        place = tmp_path / str(number) / name
        place.parent.mkdir()
        make(place)
        with pytest.raises(OutputError), replaced_folder(place.parent, kind):
            pass
        assert os.path.lexists(place)
    assert read_report(tmp_path / "0") == {} and read_result(tmp_path / "1", tmp_path) is None
    (tmp_path / "cases").mkdir()
    make(tmp_path / "cases" / "1.json")
    assert read_result(tmp_path / "1", tmp_path) is None
    with pytest.raises(InputError):
        find_jobs([tmp_path / "5" / "cases.csv"])
