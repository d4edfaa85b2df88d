"""The sample knees come out as they did; what compares frozen results finds what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vtkmodules.vtkFiltersSources import vtkSphereSource
from vtkmodules.vtkIOPLY import vtkPLYWriter

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation.metrics import compare_meshes
from SSRKDLib.surfaces.label_maps import read_reference
from SSRKDLib.surfaces.mesh_files import read_meshes
from Testing.golden.compare import ITEMS, compare, main
from Testing.golden.freeze import ROOT, SAMPLES, SUMMARY, freeze

FOLDER = ROOT / "SSRKD" / "Resources" / "SampleData"
CT, PAIR = "sample-ct", "sample-radiographs"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory) -> Path:
    """The sample pair and the sample CT, reconstructed with the bundled weights."""
    folder = tmp_path_factory.mktemp("frozen")
    assert freeze(ROOT, folder, folder / "no-inputs", SAMPLES) == []
    return folder


# Another CPU's instructions (SSE4.1 or AVX2 in place of AVX-512) changed areas and volumes by a
# share of up to 1e-6 and extents by 0.0001 mm; one round less of finding the knee's frame, by up to
# 9e-4 and 0.04 mm.
RELATIVE, EXTENT_MM = 1e-4, 0.01


@pytest.mark.parametrize("item", SAMPLES)
def test_sample_bones_are_those_of_the_summary(frozen, item):
    wanted = json.loads(Path(__file__).with_name(SUMMARY).read_text())[item]
    found = json.loads((frozen / SUMMARY).read_text())[item]
    assert list(found) == list(wanted) == list(BONES)
    for bone in BONES:
        for measure, value in wanted[bone].items():
            extent = measure in ("lowest_mm", "highest_mm")
            close = {"abs": EXTENT_MM} if extent else {"rel": RELATIVE}
            assert found[bone][measure] == pytest.approx(value, **close), (bone, measure)


def test_sample_bones_from_radiographs_lie_on_the_true_ones(frozen):
    rows = compare_meshes(read_meshes(frozen / PAIR / "bones"), read_meshes(FOLDER))
    mean = next(row for row in rows if row["bone"] == "mean")
    assert mean["assd_mm"] < 0.9


def test_sample_bones_from_the_ct_lie_on_its_segmentation(frozen):
    reference = read_reference(FOLDER / "SSRKD_CT.seg.nrrd")
    rows = compare_meshes(read_meshes(frozen / CT / "bones"), reference.meshes, samples=4000)
    distances = {row["bone"]: row["assd_mm"] for row in rows}
    # Measured 0.24 to 0.26 mm; the segmentation is voxels, and the surfaces are smooth.
    assert all(distances[bone] < 0.35 for bone in BONES), distances
    report = json.loads((frozen / CT / "bones" / "report.json").read_text())
    assert report["weights"] == "virtual-knee" and report["laterality"] == reference.side


REPORT = {
    "program": "SSRKD 0.1.0",
    "seconds": {"total": 3.2},
    "bones": {"femur": {"volume_mm3": 220817.3, "found": True}},
    "frame": [[1.0, 0.0], [0.0, 1.0]],
    "warnings": ["The femur is marked in neither radiograph.", "Read from /a/b/film.dcm, 3 views."],
}


def write_freeze(folder: Path, shift: float = 0.0, codes=(0,), **changed: object) -> Path:
    """A frozen folder with one item: a sphere as the femur, and a report."""
    (folder / "knee").mkdir(parents=True)
    sphere, writer = vtkSphereSource(), vtkPLYWriter()
    sphere.SetRadius(30.0)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.SetCenter(0.0, 0.0, shift)
    writer.SetInputConnection(sphere.GetOutputPort())
    writer.SetFileName(str(folder / "knee" / "femur.ply"))
    writer.Write()
    (folder / "knee" / "report.json").write_text(json.dumps({**REPORT, **changed}))
    (folder / "knee" / "table.csv").write_text('bone,assd_mm,region_mm\nfemur,0.655,"[0, 1.5]"\n')
    items = {"knee": {"exit_codes": list(codes), "seconds": 1.0}}
    (folder / ITEMS).write_text(json.dumps({"inputs": "x", "items": items}))
    return folder


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"shift": 0.02}, "femur.ply: surfaces differ by more than 0.01 mm"),
        ({"codes": (2,)}, "exit codes: 1 of 1 numbers"),
        ({"frame": [[1.0, 0.0], [0.0, 1.01]]}, "frame: 1 of 4 numbers, by up to 0.01"),
        ({"bones": {"femur": {"volume_mm3": 220818.0, "found": True}}}, "volume_mm3: 220817.3"),
        ({"bones": {"femur": {"volume_mm3": 220817.3, "found": False}}}, "found: True, now False"),
        ({"bones": {}}, "femur is gone"),
        ({"more": 1}, "more is new (1)"),
        ({"warnings": REPORT["warnings"][:1]}, "is gone: 'Read from"),
        ({"warnings": [REPORT["warnings"][0], "Read from film.dcm, 4 views."]}, "now 'Read from"),
    ],
)  # fmt: skip
def test_comparison_of_frozen_results_finds(tmp_path, capsys, change, finding):
    before = write_freeze(tmp_path / "before")
    assert not compare(before, write_freeze(tmp_path / "after", **change))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "DIFFERENT" in line]
    assert finding in line


def test_comparison_of_frozen_results_passes_over_what_says_nothing(tmp_path, capsys):
    """Times, versions, folders, other words; surfaces 0.005 mm apart are listed, no difference."""
    before = write_freeze(tmp_path / "before")
    after = write_freeze(
        tmp_path / "after", 0.005, program="SSRKD 0.2.0", seconds={"total": 9.0, "read": 1.0},
        warnings=["Read from C:\\c\\film.dcm, 3 views.", "The femur was not segmented."],
    )  # fmt: skip
    assert compare(before, after)
    listed, wording = capsys.readouterr().out.split("Other wording:")
    assert "femur.ply: 0.0050 mm, back 0.0050 mm" in listed and "DIFFERENT" not in listed
    assert "not segmented" in wording and "film.dcm" not in wording


def test_comparison_of_frozen_results_counts_what_is_missing(tmp_path, capsys, monkeypatch):
    before, after = write_freeze(tmp_path / "before"), write_freeze(tmp_path / "after")
    (after / "knee" / "table.csv").unlink()
    monkeypatch.setattr("sys.argv", ["compare.py", str(before), str(after)])
    assert main() == 1
    assert "table.csv: is gone" in capsys.readouterr().out
    (after / "knee").rename(after / "other")
    (after / ITEMS).write_text((after / ITEMS).read_text().replace("knee", "other"))
    assert main() == 1
    assert capsys.readouterr().out.count("DIFFERENT: only in") == 2
    (after / ITEMS).unlink()
    assert main() == 2
