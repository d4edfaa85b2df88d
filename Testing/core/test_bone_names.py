"""Bones found by terminology, by name and by the user's pick, in lists, label maps and folders."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import SimpleITK as sitk
import trimesh

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.bone_names import NamedSurface, check_sides, identify, match_bones, side_of
from SSRKDLib.core.errors import MeshError
from SSRKDLib.surfaces.checks import check_surfaces
from SSRKDLib.surfaces.label_maps import read_reference
from SSRKDLib.surfaces.label_names import label_names
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh

SNOMED = {"patella": "64234005", "femur": "71341001", "fibula": "87342007", "tibia": "12611008"}
SIDES = {"L": "7771000^Left", "R": "24028007^Right"}


def tag(bone: str, side: str | None = None) -> str:
    """Terminology as 3D Slicer writes it into the tags of a segment."""
    modifier = f"SCT^{SIDES[side]}" if side else "^^"
    return (
        "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list"
        f"~SCT^123037004^Anatomical Structure~SCT^{SNOMED[bone]}^Bone~{modifier}"
        "~Anatomic codes - DICOM master list~^^~^^|Segmentation.Status:inprogress|"
    )


@pytest.mark.parametrize(
    ("name", "bone", "side"),
    [
        ("femur", "femur", None),
        ("femur_left", "femur", "L"),
        ("Left Femur", "femur", "L"),
        ("L_femur", "femur", "L"),
        ("LFemur", "femur", "L"),
        ("FemurRight", "femur", "R"),
        ("FEMUR_R", "femur", "R"),
        ("rfemur", "femur", "R"),
        ("distal femur", "femur", None),
        ("os femoris sinistrum", "femur", "L"),
        ("thigh bone", "femur", None),
        ("femur 2 (cut)", "femur", None),
        ("Patella dextra", "patella", "R"),
        ("kneecap", "patella", None),
        ("knee cap, right", "patella", "R"),
        ("patella_left", "patella", "L"),
        ("proximal fibula", "fibula", None),
        ("os fibulae", "fibula", None),
        ("Fib_L", "fibula", "L"),
        ("tibia-right", "tibia", "R"),
        ("shin bone", "tibia", None),
        ("Os cruris", "tibia", None),
        ("tibial plateau", "tibia", None),
        # What is not one of the four bones.
        ("rectus femoris", None, None),
        ("femoral cartilage", None, None),
        ("tibialis anterior", None, None),
        ("patellar tendon left", None, "L"),
        ("tibia and fibula", None, None),
        ("crus", None, None),
        ("hip_left", None, "L"),
        ("Segment_1", None, None),
        ("", None, None),
    ],
)
def test_names_in_english_and_latin(name, bone, side):
    assert identify(NamedSurface(name)) == bone
    assert side_of(NamedSurface(name)) == side


@pytest.mark.parametrize(
    ("name", "bone", "side"),
    [
        ("Rotule G", "patella", "L"),
        ("P\u00e9ron\u00e9 G", "fibula", "L"),
        ("Pe\u0301rone\u0301_D", "fibula", "R"),
        ("F\u00e9mur droit", "femur", "R"),
        ("Tibia gauche", "tibia", "L"),
        ("Kniescheibe links", "patella", "L"),
        ("Oberschenkelknochen_re", "femur", "R"),
        ("Wadenbein li", "fibula", "L"),
        ("Schienbein rechts", "tibia", "R"),
        ("r\u00f3tula izquierda", "patella", "L"),
        ("Peron\u00e9 derecho", "fibula", "R"),
        ("femore dx", "femur", "R"),
        ("Re_Femur", "femur", "R"),
        ("TibiaLeft", "tibia", "L"),
        ("rightpatella", "patella", "R"),
        # Letters that mean something else.
        ("femur 3d", "femur", None),
        ("d femur", "femur", None),
        ("re-segmented tibia", "tibia", None),
        ("Knorpel Femur links", None, "L"),
        ("m\u00e9nisque tibia", None, None),
    ],
)
def test_names_in_other_languages(name, bone, side):
    assert identify(NamedSurface(name)) == bone
    assert side_of(NamedSurface(name)) == side


@pytest.mark.parametrize("bone", BONES)
def test_codes_decide_over_names(bone):
    other = "tibia" if bone != "tibia" else "femur"
    for codes in ((SNOMED[bone],), (tag(bone),)):
        assert identify(NamedSurface(other, codes)) == bone
    assert side_of(NamedSurface("left", (tag(bone, "R"),))) == "R"
    assert side_of(NamedSurface("anything", (tag(bone, "L"),))) == "L"
    # A code is a whole number, not a part of a longer one.
    assert identify(NamedSurface("", (f"1{SNOMED[bone]}",))) is None


def test_older_codes_are_known():
    for code, bone in (("T-12710", "femur"), ("T-12740", "tibia"), ("T-12730", "patella")):
        assert identify(NamedSurface("", (f"SRT^{code}^Bone",))) == bone


TWO_KNEES = [NamedSurface(f"{bone}_{side}") for bone in BONES for side in ("left", "right")]


def test_one_knee_of_two_is_picked_by_its_side():
    found = match_bones([*TWO_KNEES, NamedSurface("sacrum")], "R")
    assert found.bones == {bone: f"{bone}_right" for bone in BONES}
    assert (found.side, found.sentences) == ("R", ())


def test_two_knees_of_unknown_side_are_candidates():
    found = match_bones(TWO_KNEES)
    assert found.bones == {} and list(found.candidates) == list(BONES)
    assert found.candidates["femur"] == ("femur_left", "femur_right")
    assert "Both femur_left and femur_right match the femur" in found.sentences[1]


def test_what_is_not_found_is_reported():
    found = match_bones(
        [NamedSurface("femur"), NamedSurface("bone 2"), NamedSurface("tibia_right")], "L"
    )
    assert found.bones == {"femur": "femur"}
    assert "Nothing is named after the patella." in found.sentences
    assert "The tibia was found only for the other side (tibia_right)." in found.sentences


def test_what_the_user_picks_is_taken():
    names = [NamedSurface("bone A"), NamedSurface("femur"), NamedSurface("tibia")]
    found = match_bones(names, None, {"patella": "bone A", "fibula": "tibia"})
    # What was picked for one bone is no candidate for another.
    assert found.bones == {"patella": "bone A", "femur": "femur", "fibula": "tibia"}
    for chosen, words in (
        ({"femur": "none"}, "no 'none'"),
        ({"hip": "femur"}, "no 'femur' to pick as the hip"),
        ({"femur": "tibia", "tibia": "tibia"}, "two bones"),
    ):
        with pytest.raises(MeshError, match=words) as caught:
            match_bones(names, None, chosen)
        assert caught.value.remedy


def test_the_exact_name_wins():
    names = [NamedSurface("femur old"), NamedSurface("Femur"), NamedSurface("distal femur")]
    found = match_bones([*names, NamedSurface("femur_2"), NamedSurface("Tibia")])
    assert found.bones == {"femur": "Femur", "tibia": "Tibia"}
    told = "The femur is Femur; femur old, distal femur, femur_2 would match it, too."
    assert told in found.sentences and not any("tibia" in each for each in found.sentences)


def test_left_against_right_is_refused():
    right = [NamedSurface(f"{bone}_right") for bone in BONES]
    with pytest.raises(MeshError, match="left knee is wanted.*patella_right"):
        match_bones(right, "L")
    with pytest.raises(MeshError, match="left knee is wanted.*femur_right"):
        match_bones(right, "L", {"femur": "femur_right"})
    with pytest.raises(MeshError, match=r"both sides \(left femur and right tibia\)"):
        match_bones([NamedSurface("femur_left"), NamedSurface("tibia_right")])
    with pytest.raises(MeshError, match="right knee, the reconstruction a left"):
        check_sides("R", "L")
    check_sides("R", "R")
    check_sides(None, "L")


# --- surfaces that no knee has ---------------------------------------------------------


def slab(size: float) -> Mesh:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 0.8) for z in (0, 1.2)]) * size
    shape = trimesh.convex.convex_hull(corners)
    return Mesh(shape.vertices, shape.faces)


def test_sizes_that_no_knee_has_name_the_unit():
    assert check_surfaces({"femur": slab(80), "patella": slab(40)}, "reference") == []
    for size, words in ((0.08, "in metres"), (8, "in centimetres"), (80_000, "in micrometres")):
        with pytest.raises(MeshError, match=f"{words}. Convert it to millimetres"):
            check_surfaces({"femur": slab(size)}, "reference")


# --- files -----------------------------------------------------------------------------


def labelmap(values: list[int]) -> sitk.Image:
    """Boxes of 8 x 8 x 8 mm in a row, those of 1 and 2 above the others."""
    array = np.zeros((24, 12, 12 * len(values)), dtype=np.uint8)
    for number, value in enumerate(values):
        low = 14 if value in (1, 2) else 2
        array[low : low + 8, 2:10, 12 * number + 2 : 12 * number + 10] = value
    return sitk.GetImageFromArray(array)


def places(meshes: dict[str, Mesh]) -> dict[str, int]:
    """Which box of :func:`labelmap` each bone is."""
    return {bone: int(mesh.bounds.mean(axis=0)[0] // 12) for bone, mesh in meshes.items()}


SIDECARS = {
    "knee.json": json.dumps({"7": "femur_left", "9": "tibia_left", "3": "sacrum"}),
    "dataset.json": json.dumps({"labels": {"background": 0, "femur": 7, "Tibia": 9}}),
    "knee.ctbl": "# Color\n0 Background 0 0 0 0\n7 femur 200 100 0 255\n9 left_tibia 0 9 9 255\n",
    "labels.csv": "LabelValue,Name,Colour\n7,Femur,red\n9,tibia_left,blue\n",
    "knee.csv": "\ufeffIndex;Structure\r\n7;femur\r\n9;Tibia\r\n",
    "knee.label": '0 0 0 0 0 0 0 "Clear Label"\n7 255 0 0 1 1 1 "Femur L"\n9 0 2 0 1 1 1 "Tibia"\n',
}


@pytest.mark.parametrize("sidecar", SIDECARS)
@pytest.mark.parametrize("name", ["knee.nii.gz", "knee.nrrd"])
def test_names_come_from_a_file_beside_the_label_map(tmp_path, sidecar, name):
    (tmp_path / sidecar).write_text(SIDECARS[sidecar], encoding="utf-8")
    sitk.WriteImage(labelmap([3, 9, 7]), str(tmp_path / name))
    found = read_reference(tmp_path / name)
    assert places(found.meshes) == {"femur": 2, "tibia": 1}
    assert "Nothing is named after the fibula." in found.sentences
    assert found.masks["femur"].array.sum() == 8**3
    for text in ("{", "[" * 100_000):
        (tmp_path / "knee.json").write_text(text)
        with pytest.raises(MeshError, match="JSON"):
            read_reference(tmp_path / name)


def test_names_that_totalsegmentator_puts_into_a_nifti_header(tmp_path):
    path = tmp_path / "seg.nii.gz"
    sitk.WriteImage(labelmap([75, 76]), str(path))
    raw = gzip.decompress(path.read_bytes())
    xml = (
        b'<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>'
        b'<Label Key="75" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[femur_left]]></Label>'
        b'<Label Key="76" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[femur_right]]></Label>'
        b"</LabelTable></VolumeInformation></CaretExtension>"
    )
    path.write_bytes(gzip.compress(raw[:352] + xml + raw[352:]))
    layers = [np.full((2, 2, 2), 75)]
    assert label_names(path, layers) == {75: "femur_left", 76: "femur_right"}
    path.write_bytes(gzip.compress(raw))
    assert label_names(path, layers) == {}


@pytest.mark.parametrize(
    "content",
    [
        {"SeriesNumber": 3, "RescaleSlope": 1, "Modality": "CT", "ImageType": ["ORIGINAL"]},
        {"SeriesNumber": 2, "EchoTime": 0.5},
        {"femur": 12, "tibia": 13},  # of another label map
        {"9" * 5000: "femur"},
        {"femur": 10**30},
        [1, 2],
    ],
)
def test_a_json_file_about_other_things_is_no_list_of_labels(tmp_path, content):
    """As dcm2niix writes them: without the file and with it the same bones are found."""
    sitk.WriteImage(labelmap([1, 2, 3, 4]), str(tmp_path / "knee.nii.gz"))
    (tmp_path / "knee.json").write_text(json.dumps(content))
    assert places(read_reference(tmp_path).meshes) == dict(zip(BONES, range(4)))
    # Names from another file count then.
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"femur": 3, "region": [1, 2]}}))
    assert places(read_reference(tmp_path).meshes) == {"femur": 2}


def test_without_names_values_are_the_paper_s(tmp_path):
    image = labelmap([1, 2, 3, 4])
    image.SetOrigin((1.0, 2.0, 3.0))
    sitk.WriteImage(image, str(tmp_path / "knee.nii.gz"))
    found = read_reference(tmp_path)
    assert places(found.meshes) == {"patella": 0, "femur": 1, "fibula": 2, "tibia": 3}
    (sentence,) = found.sentences
    assert "taken as 1 patella, 2 femur, 3 fibula, 4 tibia" in sentence and found.side is None


def test_terminology_in_a_seg_nrrd(tmp_path):
    image = labelmap([1, 2, 3])
    segments = {0: ("Segment_1", tag("femur", "L")), 1: ("Segment_2", tag("tibia", "L"))}
    segments[2] = ("kneecap", "")
    for number, (name, tags) in segments.items():
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
        image.SetMetaData(f"Segment{number}_Tags", tags)
    sitk.WriteImage(image, str(tmp_path / "knee.seg.nrrd"))
    found = read_reference(tmp_path)
    assert places(found.meshes) == {"patella": 2, "femur": 0, "tibia": 1}
    assert found.side == "L"
    picked = read_reference(tmp_path, "L", {"fibula": "kneecap"})
    assert places(picked.meshes) == {"femur": 0, "fibula": 2, "tibia": 1}
    with pytest.raises(MeshError, match="right knee is wanted"):
        read_reference(tmp_path, "R", {"femur": "Segment_1"})


def test_folders_of_meshes_in_other_words_and_of_two_knees(tmp_path):
    for name, size in (("Left Thigh Bone", 80), ("femur_right", 70), ("kneecap_L", 40)):
        write_mesh(tmp_path / f"{name}.ply", slab(size))
    left = read_reference(tmp_path, "L")
    assert {bone: round(mesh.bounds[1, 0]) for bone, mesh in left.meshes.items()} == {
        "patella": 40, "femur": 80,
    }  # fmt: skip
    assert left.side == "L" and left.masks == {}
    assert round(read_reference(tmp_path, "R").meshes["femur"].bounds[1, 0]) == 70
    with pytest.raises(MeshError, match="match the femur"):
        read_reference(tmp_path)
