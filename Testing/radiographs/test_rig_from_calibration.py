"""Rigs from K, R, t calibration files, on the real biplane knee (all of it geometry)."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from SSRKDLib.cli.rig import add_parser
from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.rig_file import read_rig
from SSRKDLib.radiographs.rig_from_calibration import read_calibration, rig_from_calibration
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
    for view, (calibration, image) in zip(rig.views, biplane()):
        camera = read_calibration(calibration)
        points = middle + GRID
        projected = (points @ camera.rotation.T + camera.translation) @ camera.matrix.T
        expected = projected[:, :2] / projected[:, 2:]
        np.testing.assert_allclose(view.project(points), expected, atol=1e-6)
        assert view.inside(middle) and view.image == str(image)
        assert (view.values, view.air, view.size) == ("intensity", None, (1760, 1760))
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
    with pytest.raises(GeometryError, match="no calibration file"):
        read_calibration(tmp_path / "absent.txt")
    with pytest.raises(GeometryError, match="needs two"):
        rig_from_calibration([other])


@needs_shared
def test_geometry_rig_command_from_calibration(tmp_path):
    words = [w for pair in biplane() for w in ("--calibration", *pair)]
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    target = ["-o", tmp_path / "RIG.json", "--side", "L"]
    arguments = parser.parse_args(["rig", *map(str, [*words, *target])])
    assert arguments.run(arguments) == 0
    rig = read_rig(tmp_path / "RIG.json")
    assert rig.frame == "lab" and rig.laterality == "L"
    for made, direct in zip(rig.views, rig_from_calibration(biplane()).views):
        points = rig.central_point() + GRID
        np.testing.assert_allclose(made.project(points), direct.project(points), atol=1e-6)
