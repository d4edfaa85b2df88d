"""Rigs from K, R, t calibration files, on the real biplane knee (all of it geometry)."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from SSRKDLib.cli.rig import add_parser
from SSRKDLib.core.errors import GeometryError
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.radiographs.rig_from_calibration import (
    read_calibration,
    rig_from_calibration,
    rig_of_cameras,
)
from Testing.support.shared_data import SHARED, needs_shared

GRID = np.stack(np.meshgrid(*[np.linspace(-90, 90, 4)] * 3), axis=-1).reshape(-1, 3)


def biplane(frame="0180"):
    folder = SHARED / "data/biplane_knee"
    return [
        (folder / f"xr_calib_left_knee_cam0{k}.txt", folder / f"L_Hop_Cam{k}_001_UND.{frame}.tif")
        for k in (1, 2)
    ]


@needs_shared
def test_geometry_calibration_projects_as_its_cameras():
    rig = rig_from_calibration(biplane(), laterality="L")
    assert rig.frame == "lab" and rig.patient_to_rig is None
    first, second = (view.axis for view in rig.views)
    assert np.degrees(np.arccos(abs(first @ second))) == pytest.approx(51.9, abs=1.5)
    middle = rig.central_point()
    for view, source, (calibration, image) in zip(rig.views, rig.sources, biplane()):
        camera = read_calibration(calibration)
        points = middle + GRID
        projected = (points @ camera.rotation.T + camera.translation) @ camera.matrix.T
        expected = projected[:, :2] / projected[:, 2:]
        np.testing.assert_allclose(view.project(points), expected, atol=1e-6)
        assert view.inside(middle) and source.image == str(image)
        assert (source.values, source.air, view.size) == ("intensity", 255.0, (1760, 1760))
        # The knee lies between the source and the detector.
        depth = view.projection_matrix @ np.append(middle, 1)
        assert depth[2] == pytest.approx(0.8, abs=0.02)
        assert view.pixel_spacing[0] != view.pixel_spacing[1]


@needs_shared
def test_geometry_damaged_calibrations_are_refused(tmp_path):
    (good, image), other = biplane()
    text = good.read_text()
    damages = {
        "skewed": text.replace("8673.95205439,0,", "8673.95205439,40,"),
        "not a rotation": text.replace("0.999289106453", "0.5"),
        "'translation'": text.replace("1368.54674372", ""),
        "camera matrix": text.replace("camera matrix", "lens"),
        "has 1760 x 1760": text.replace("1760,1760", "1024,1024"),
        "common place": text.replace("1368.54674372", "-1368.54674372"),
    }
    for words, damaged in damages.items():
        path = tmp_path / "cam.txt"
        path.write_text(damaged)
        with pytest.raises(GeometryError, match=words):
            rig_from_calibration([(path, image), other])
    with pytest.raises(GeometryError, match="was not found"):
        read_calibration(tmp_path / "absent.txt")
    with pytest.raises(GeometryError, match="needs two"):
        rig_from_calibration([other])


def command(*words):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["rig", *map(str, words)])
    assert arguments.run(arguments) == 0


@pytest.fixture
def calibrated(tmp_path):
    """Two cameras at right angles, an image of 8 bits and one of 16: words of the command."""
    words = []
    pixels = np.random.default_rng(0).integers(0, 250, (64, 80))
    for name, kind, rotation in (
        ("a", np.uint8, "1,0,0\n0,0,-1\n0,1,0"), ("b", np.uint16, "0,1,0\n0,0,-1\n-1,0,0")
    ):  # fmt: skip
        camera, image = tmp_path / f"{name}.txt", tmp_path / f"{name}.png"
        camera.write_text(
            f"image size\n80,64\n\ncamera matrix\n500,0,40\n0,500,32\n0,0,1\n\n"
            f"rotation\n{rotation}\n\ntranslation\n0\n0\n800\n"
        )
        sitk.WriteImage(sitk.GetImageFromArray(pixels.astype(kind)), str(image))
        words += ["--calibration", camera, image]
    return words


def test_each_calibrated_view_has_its_own_values_and_air(calibrated, tmp_path):
    def made(*options):
        command(*calibrated, *options, "-o", tmp_path / "RIG.json")
        rig = read_rig(tmp_path / "RIG.json")
        return [(source.values, source.air) for source in rig.sources]

    assert made() == [("intensity", 255.0), ("intensity", None)]  # air: of 8-bit images alone
    assert made("--air", 200, 900) == [("intensity", 200.0), ("intensity", 900.0)]
    assert made("--values", "display", "intensity", "--air", 700) == [
        ("display", None), ("intensity", 700.0)
    ]  # fmt: skip
    with pytest.raises(GeometryError, match="--air has 3 values for 2 views"):
        made("--air", 1, 2, 3)


@pytest.mark.parametrize(
    "option", [("--sdd", 1000), ("--sod", 800), ("--spacing", 1), ("--angle", 0), ("--view", "AP")]
)
def test_options_that_a_calibration_has_no_use_for_are_refused(calibrated, tmp_path, option):
    with pytest.raises(GeometryError, match=f"{option[0]} cannot be used"):
        command(*calibrated, *option, "-o", tmp_path / "RIG.json")
    assert not (tmp_path / "RIG.json").exists()


@needs_shared
def test_geometry_rig_command_from_calibration(tmp_path):
    words = [w for pair in biplane() for w in ("--calibration", *pair)]
    command(*words, "-o", tmp_path / "RIG.json", "--side", "L")
    rig = read_rig(tmp_path / "RIG.json")
    assert rig.frame == "lab" and rig.laterality == "L"
    for made, direct in zip(rig.views, rig_from_calibration(biplane()).views):
        points = rig.central_point() + GRID
        np.testing.assert_allclose(made.project(points), direct.project(points), atol=1e-6)


ROTATION = Rotation.from_euler("ZYX", [-60, 3, 92], degrees=True).as_matrix()
MAYACAM_2 = """image size
220,220

camera matrix
1085.5,0,104
0,1088,112
0,0,1

rotation
{}

translation
-10.5
20
1295
""".format("\n".join(",".join(f"{x:.12f}" for x in row) for row in ROTATION))


@pytest.mark.parametrize(
    "content",
    [
        MAYACAM_2.encode("utf-8-sig"),
        MAYACAM_2.encode("utf-16"),
        ("# Gerät 1\n" + MAYACAM_2).encode("latin-1"),
        MAYACAM_2.replace(",", ";").replace(".", ",").encode(),
        MAYACAM_2.replace("\n", "\r\n").replace(",", "\t").encode(),
        MAYACAM_2.replace(",", "\t").replace(".", ",").encode("utf-8-sig"),
        MAYACAM_2.replace(",", ", ").encode(),
    ],
    ids=[
        "utf-8 with mark",
        "utf-16",
        "latin-1",
        "decimal commas",
        "tabs",
        "tabs and decimal commas",
        "commas and spaces",
    ],
)
def test_geometry_a_calibration_as_editors_and_spreadsheets_save_it(tmp_path, content):
    (tmp_path / "cam.txt").write_bytes(content)
    camera = read_calibration(tmp_path / "cam.txt")
    assert camera.size == (220, 220)
    np.testing.assert_allclose(camera.matrix, [[1085.5, 0, 104], [0, 1088, 112], [0, 0, 1]])
    np.testing.assert_allclose(camera.rotation, ROTATION, atol=1e-9)
    np.testing.assert_allclose(camera.translation, [-10.5, 20, 1295])


def test_geometry_mayacam_1(tmp_path):
    """A camera 1295 mm in front, a little to the left: what Autoscoper makes of the same lines."""
    lines = ["1,-129.5,2", "90,0,0", "0.6,-0.2,-108.5", "105,109,-1085", "0.1,0,220"]
    (tmp_path / "cam.csv").write_text("\n".join(lines))
    camera = read_calibration(tmp_path / "cam.csv")
    assert camera.size == (1024, 220)
    np.testing.assert_allclose(-camera.rotation.T @ camera.translation, [10, -1295, 20])
    # Straight ahead is the principal point, from the upper edge; above it rows are smaller.
    for point, pixel in (([10, 0, 20], [104, 111]), ([20, 0, 60], [104 + 8.378, 111 - 33.514])):
        u, v, w = camera.matrix @ (camera.rotation @ point + camera.translation)
        np.testing.assert_allclose([u / w, v / w], pixel, atol=1e-3)
    sizes = ("0.1,nan,220", "0.1,inf,220", "0.1,0.5,220", "0.1,0,220.9", "0.1,-5,220")
    for wrong in ("1,2,3\n" * 5, *("\n".join([*lines[:4], size]) for size in sizes)):
        (tmp_path / "cam.csv").write_text(wrong)
        with pytest.raises(GeometryError, match="not a MayaCam 1.0 file"):
            read_calibration(tmp_path / "cam.csv")


def test_a_file_too_large_for_a_calibration_is_not_read(tmp_path):
    (tmp_path / "cam.txt").write_text(MAYACAM_2 + " " * (64 << 10))
    with pytest.raises(GeometryError, match="larger than 64 kB"):
        read_calibration(tmp_path / "cam.txt")


@pytest.mark.parametrize(("factor", "unit"), [(1, None), (0.1, "centimetres"), (0.001, "metres")])
def test_geometry_the_unit_of_a_calibration_is_found_out(tmp_path, factor, unit):
    paths = []
    for k, angle in enumerate((0, 60)):
        rotation = Rotation.from_euler("y", angle, degrees=True).as_matrix()
        text = MAYACAM_2.split("rotation")[0] + "rotation\n"
        text += "\n".join(",".join(map(str, row)) for row in rotation)
        text += f"\ntranslation\n0\n0\n{1300 * factor}\n"
        paths.append(tmp_path / f"{k}.txt")
        paths[-1].write_text(text)
    rig = rig_of_cameras(paths, [(220, 220)] * 2, ["display"] * 2)
    for view in rig.views:
        assert np.linalg.norm(view.source) == pytest.approx(1300)
    assert [unit in note for note in rig.assumptions] == ([] if unit is None else [True])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1085.5,0,104", "10855,0,104", "not that of an X-ray set-up"),
        ("1085.5,0,104", "1085.5,0,79646", "not that of an X-ray set-up"),
        ("220,220", "220.9,220", "'image size'"),
        ("1295", "1_295", "'translation'"),
        ("1295", "-1.7e308", "'translation'"),
        ("1085.5,0,104", "1e308,0,104", "'camera matrix'"),
        ("0,0,1\n", "0,0,1e-308\n", "is not one"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_geometry_what_no_x_ray_set_up_is_is_refused(tmp_path, old, new, words):
    (tmp_path / "cam.txt").write_text(MAYACAM_2.replace(old, new))
    with pytest.raises(GeometryError, match=words):
        read_calibration(tmp_path / "cam.txt")
