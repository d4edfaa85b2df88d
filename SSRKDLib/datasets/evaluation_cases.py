"""Prepared cases as ``evaluate`` takes them: two radiographs, how they were taken, the truth."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.core.output_manifest import ResultKind
from SSRKDLib.datasets.case_cache import read_radiographs
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.geometry.views import Rig
from SSRKDLib.images.writing import write_image
from SSRKDLib.radiographs.exposure import Source, with_sources
from SSRKDLib.radiographs.rig_file import write_rig
from SSRKDLib.simulation.detector import noisy
from SSRKDLib.simulation.writing import RIG, earlier_radiographs
from SSRKDLib.surfaces.mesh_files import Mesh, is_written_mesh, write_mesh

TRUTH = "truth"


def _earlier(folder: Path) -> Collection[str]:
    """Names of the files that make up cases as :func:`write_rig_case` writes them."""
    names: set[str] = set()
    for case in folder.iterdir():
        truth = {f"{TRUTH}/{bone}.ply" for bone in BONES}
        written = {name for name in truth if is_written_mesh(case / name)}
        names.update(f"{case.name}/{name}" for name in (*earlier_radiographs(case), *written))
    return names


#: What ``Training/make_test_cases.py`` writes: a folder per case.
RIG_CASES = ResultKind("cases to evaluate", _earlier)
#: One of them alone, as ``Training/make_held_out_cases.py`` writes.
RIG_CASE = ResultKind("case to evaluate")

#: Mean count per pixel behind air.
PHOTONS = 1e5


def write_rig_case(case_folder: Path, output: Path) -> None:
    """Write one labelled case, in its own frame: as a left knee where its side is known.

    Args:
        case_folder: a prepared case.
        output: where to make the folder: rig.json, the images and ``truth/``.

    Raises:
        InputError: the case has no bones or no such views, or the published code prepared it,
            which leaves no millimetres to measure in.
        OutputError: the folder cannot be written.
    """
    case = CaseFolder(case_folder)
    if not case.finished:
        raise InputError(
            f"The case {case_folder} was stretched to a cube and has no lengths in millimetres.",
            "Prepare its CT with this program.",
        )
    meshes = case.meshes()
    if not meshes:
        raise InputError(f"The case {case_folder} has no bones.", "Evaluate labelled cases only.")
    found = read_radiographs(case_folder)
    rng = np.random.default_rng(zlib.crc32(case.case_id.encode()))
    views, sources = [], []
    write_truth(output, meshes)
    for name, angle in (("frontal", 90.0), ("lateral", 0.0)):
        index = found.index(angle)
        line = noisy(np.asarray(found.images[index]) * found.unit, PHOTONS, rng)
        image = f"{name}.nrrd"
        write_image(output / image, line)
        views.append(replace(found.views[index], name=name))
        sources.append(Source(image))
    side = None if case.record().get("side") is None else "L"
    write_rig(with_sources(Rig(tuple(views), laterality=side), sources), output / RIG)


def write_truth(folder: Path, meshes: Mapping[str, Mesh]) -> None:
    """Write the true bones of a case; makes its folder where it is absent.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        (folder / TRUTH).mkdir(parents=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    for bone, mesh in meshes.items():
        write_mesh(folder / TRUTH / f"{bone}.ply", mesh, COLOURS[bone])
