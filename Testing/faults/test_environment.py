"""What the system lacks is one sentence: room for output, a working folder, open files, UTF-8; and
a path to another computer is opened only where the user named that computer."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from SSRKDLib.__main__ import _main
from SSRKDLib.cli.main import main
from SSRKDLib.core import output_folder
from SSRKDLib.core.errors import GeometryError, OutputError
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.core.output_manifest import MANIFEST, ResultKind
from SSRKDLib.core.system_errors import of_the_system
from SSRKDLib.radiographs.rig_file import read_rig, rig_to_dict
from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom
from Testing.fuzz.readers import ROOT, SAMPLES

FRONTAL, LATERAL = SAMPLES / "SSRKD_frontal.dcm", SAMPLES / "SSRKD_lateral.dcm"


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "memory does not suffice"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you"),
            "memory does not suffice",
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you"), "memory does not suffice"),
        (ImportError("libtorch_cpu.so: failed to map segment"), "memory does not suffice"),
        (ImportError("Failed to load vtkCommonCore"), "A package does not load (Failed to load"),
        (ModuleNotFoundError("No module named 'vtk'", name="vtk.a"), "vtk is not installed"),
        (ModuleNotFoundError("No module named 'SSRKDLib.a'", name="SSRKDLib.a"), None),
        (RuntimeError("unknown"), None),
    ],
    ids=str,
)
def test_memory_and_packages_that_are_lacking_are_told_as_such(error, told):
    said = of_the_system(error)
    assert (told is None) == (said is None)
    assert told is None or told in str(said)


def test_names_that_an_encoding_does_not_have_are_written(tmp_path, monkeypatch):
    monkeypatch.setenv("SSRKD_WEIGHTS", str(tmp_path / "ß骨"))
    monkeypatch.setattr(sys, "argv", ["ssrkd", "weights", "list"])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    assert _main() == 0
    assert b"\xdf\\u9aa8" in sys.stdout.buffer.getvalue()


def test_an_input_that_may_not_be_read_is_no_fault_of_the_output(tmp_path):
    place = tmp_path / "out"
    for barred, told in (
        (tmp_path / "input", "input' cannot be opened: permission is missing"),
        (place / "a.txt", "out' cannot be written: permission is missing"),
        (tmp_path / ".out.lock", "out' cannot be written: permission is missing"),
    ):
        refused = pytest.raises((PermissionError, OutputError))
        with refused as caught, replaced_folder(place, ResultKind("test")):
            raise PermissionError(errno.EACCES, "Permission denied", str(barred))
        assert told in str(of_the_system(caught.value) or caught.value)


def test_a_read_only_folder_is_called_by_its_own_name(tmp_path, monkeypatch):
    """Not by the one that it has while it steps aside."""

    def barred(folder, *about):
        if folder.suffix == ".old":
            error = PermissionError(errno.EACCES, "Permission denied")
            raise cannot_write(folder / MANIFEST, error)

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(output_folder, "write_manifest", barred)
    with pytest.raises(OutputError) as caught, replaced_folder(tmp_path / "out", ResultKind("x")):
        pass
    assert str(caught.value).startswith(f"'{tmp_path / 'out' / MANIFEST}' cannot be written")
    assert os.listdir(tmp_path) == ["out"]


def test_output_that_nobody_takes_is_said(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["weights", "list"]) == 1
    assert "is full. Free some space." in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--ct"], ["--weights"], []], ids=str)
def test_a_path_that_no_system_takes_is_bad_input(tmp_path, option, capsys):
    given = [*option, "x" * 5000, *(["--frontal", str(FRONTAL)] if "--weights" in option else [])]
    assert main(["reconstruct", *given, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "Internal error" not in said and said.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps folders that are in use")
def test_a_working_folder_that_was_deleted_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    given = ["rig", "--frontal", "a.dcm", "--lateral", "b.dcm", "-o", "rig.json"]
    assert main(given) in (1, 2)
    assert "Internal error" not in capsys.readouterr().err
    given[2:5:2] = str(FRONTAL), str(LATERAL)
    assert main([*given[:-1], str(tmp_path / "rig.json")]) == 0


@pytest.mark.skipif(os.name == "nt", reason="limits and locales of POSIX")
@pytest.mark.parametrize(
    ("prefix", "code", "said"),
    [("ulimit -n 7;", 1, "Too many files are open"), ("LC_ALL=C LANG=C", 0, "")],
    ids=["few files", "no UTF-8"],
)
def test_few_open_files_and_other_encodings(tmp_path, prefix, code, said):
    film = tmp_path / "Knie_ß.dcm"
    shutil.copyfile(FRONTAL, film)
    line = f'{prefix} "$0" -m SSRKDLib rig --frontal "$1" --lateral "$2" -o "$3"'
    ran = subprocess.run(
        ["sh", "-c", line, sys.executable, film, LATERAL, tmp_path / "Rig_ß.json"],
        capture_output=True, text=True, cwd=ROOT, errors="replace",
    )  # fmt: skip
    assert ran.returncode == code, ran.stderr
    assert said in ran.stderr and len(ran.stderr.splitlines()) == bool(said)
    assert (tmp_path / "Rig_ß.json").exists() == (code == 0)


def test_an_interrupt_while_packages_load_is_one_word(tmp_path):
    (tmp_path / "numpy.py").write_text("raise KeyboardInterrupt")
    ran = subprocess.run(
        [sys.executable, "-m", "SSRKDLib", "rig"], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ran.stderr == "Cancelled.\n" and ran.returncode


READ = "import sys; from SSRKDLib.radiographs.reading import *; read_radiograph(sys.argv[1])"


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_no_space_for_a_temporary_file_is_not_a_fault_of_the_radiograph(tmp_path):
    """ITK unpacks compressed pixels from a file of their own."""
    ran = subprocess.run(
        ["sh", "-c", 'ulimit -f 8; "$0" -c "$1" "$2"', sys.executable, READ, FRONTAL],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert ran.stderr.splitlines()[-1].endswith(
        f"{FRONTAL.name}' cannot be read: a temporary file cannot be written (File too large). "
        f"Make space in {tmp_path}, or name another folder for temporary files (TMPDIR)."
    )


@pytest.mark.parametrize(
    "image", [r"\\evil\share\x.dcm", "//evil/share/x.dcm", r"\\?\UNC\evil\s\x"]
)
def test_a_rig_does_not_lead_to_another_computer(tmp_path, image):
    rig = rig_to_dict(rig_from_dicom(FRONTAL, LATERAL))
    rig["views"][0]["image"] = image
    (tmp_path / "rig.json").write_text(json.dumps(rig))
    with pytest.raises(GeometryError, match="on another computer"):
        read_rig(tmp_path / "rig.json")


@pytest.mark.parametrize(
    "image", ["x.dcm", "/films/x.dcm", r"\\?\C:\films\x.dcm", r"C:\films\x.dcm"]
)
def test_a_rig_leads_anywhere_on_this_one(tmp_path, image):
    rig = rig_to_dict(rig_from_dicom(FRONTAL, LATERAL))
    rig["views"][0]["image"] = image
    (tmp_path / "rig.json").write_text(json.dumps(rig))
    assert read_rig(tmp_path / "rig.json").sources[0].image == str(tmp_path / Path(image))
