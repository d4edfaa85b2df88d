"""Prepared cases as ``evaluate`` takes them: two radiographs, how they were taken, the truth."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import COLOURS
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.datasets.case_cache import read_radiographs
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.geometry.rig_file import write_rig
from SSRKDLib.geometry.views import Rig
from SSRKDLib.images.writing import write_image
from SSRKDLib.simulation.detector import noisy
from SSRKDLib.simulation.writing import RIG
from SSRKDLib.surfaces.mesh_files import write_mesh

#: Mean count per pixel behind air.
PHOTONS = 1e5


def write_rig_case(
    case_folder: Path, output: Path, lateral: float = 0.0, frontal: float = 90.0
) -> None:
    """Write one labelled case, in its own frame: as a left knee where its side is known.

    Args:
        case_folder: a prepared case.
        output: the folder to make: rig.json, the images and ``truth/``.
        lateral, frontal: angles of the two views, degrees.

    Raises:
        InputError: the case has no bones or no such views, or the published code prepared it,
            which leaves no millimetres to measure in.
        OutputError: the folder cannot be written.
    """
    case = CaseFolder(case_folder)
    if not case.finished:
        raise InputError(
            f"The case {case_folder} was stretched to a cube: distances in it are no millimetres.",
            "Prepare its CT with this program.",
        )
    meshes = case.meshes()
    if not meshes:
        raise InputError(f"The case {case_folder} has no bones.", "Evaluate labelled cases only.")
    found = read_radiographs(case_folder)
    rng = np.random.default_rng(zlib.crc32(case.case_id.encode()))
    views = []
    with replaced_folder(output) as fresh:
        for name, angle in (("frontal", frontal), ("lateral", lateral)):
            index = found.index(angle)
            line = noisy(np.asarray(found.images[index]) * found.unit, PHOTONS, rng)
            image = f"{name}.nrrd"
            write_image(fresh / image, line)
            views.append(replace(found.views[index], name=name, image=image))
        side = None if case.record().get("side") is None else "L"
        write_rig(Rig(tuple(views), laterality=side), fresh / RIG)
        (fresh / "truth").mkdir()
        for bone, mesh in meshes.items():
            write_mesh(fresh / "truth" / f"{bone}.ply", mesh, COLOURS[bone])
