"""What to prepare: tables, folders and files of CTs, and virtual people."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.input_files import read_text_bytes
from SSRKDLib.ct.reading import read_scan
from SSRKDLib.datasets.case_folder import is_case_name
from SSRKDLib.datasets.prepare import Scan, Settings
from SSRKDLib.images.dicom_files import has_preamble
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.label_maps import LABELMAP_SUFFIXES, read_reference

#: Endings of CTs in one file; those of label maps are the same.
CT_SUFFIXES = LABELMAP_SUFFIXES

#: Columns of a table; only ``ct`` must be there.
COLUMNS = ("case", "ct", "bones", "side", "person", "sex")

#: Edge of a virtual person's cube, mm, where none is given: the joint, and 100 mm each way.
VIRTUAL_EXTENT = 200.0

_SIDE_WORD = re.compile(r"(?i)(?:^|[_\-. ]+)(?:l|r|left|right)(?=$|[_\-. ])")


@dataclass(frozen=True)
class FileSource:
    """A CT, and bones as :func:`~SSRKDLib.surfaces.label_maps.read_reference` reads them, or
    None."""

    ct: Path
    bones: Path | None
    side: str | None

    @property
    def labelled(self) -> bool:
        return self.bones is not None

    def places(self) -> tuple[Path, ...]:
        """What is read."""
        return (self.ct,) if self.bones is None else (self.ct, self.bones)

    def load(self, settings: Settings) -> Scan:
        """Read the files; raises :class:`~SSRKDLib.core.errors.InputError` where they are no
        good."""
        ct = read_scan(self.ct)
        if self.bones is None:
            return Scan(ct, self.side)
        found = read_reference(self.bones, self.side)
        return Scan(ct, self.side or found.side, found.meshes)


@dataclass(frozen=True)
class VirtualSource:
    """A virtual person: the same seed and index make the same leg, with labels or without."""

    seed: int
    index: int
    labelled: bool

    @property
    def side(self) -> str:
        return "LR"[self._rng(0).integers(2)]

    def places(self) -> tuple[Path, ...]:
        """What is read: nothing."""
        return ()

    def load(self, settings: Settings) -> Scan:
        """Make the person, and a CT of the part that the cube needs."""
        from SSRKDLib.simulation.ct_volume import simulated_scan
        from SSRKDLib.simulation.population import shape_model
        from SSRKDLib.simulation.random_shape import random_knee
        from SSRKDLib.simulation.voxel_phantom import voxel_knee
        from SSRKDLib.surfaces.mesh import Mesh

        rng = self._rng(1)
        faces = shape_model().faces
        # Somewhere in the scanner, and a right knee as what it is.
        pose = np.diag([-1.0 if self.side == "R" else 1.0, 1.0, 1.0, 1.0])
        knee = random_knee(rng)
        pose[:3, 3] = rng.uniform(-80, 80, 3)
        meshes = {bone: Mesh(knee[bone], faces[bone]).transformed(pose) for bone in knee}
        extent = settings.extent or VIRTUAL_EXTENT
        # No finer than the texture of bone, no coarser than its cortex.
        spacing = float(np.clip(extent / (2 * settings.size), 0.6, 2.0))
        # The leg's axis leans in the cube, whose ends it must still reach.
        volume = voxel_knee(meshes, rng, spacing, 0.6 * extent, energy=settings.energy)
        bones = meshes if self.labelled else None
        return Scan(simulated_scan(volume, settings.energy), self.side, bones, joint_centre(meshes))

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.index, stream])


@dataclass(frozen=True)
class Job:
    """One case to prepare."""

    case_id: str
    source: FileSource | VirtualSource
    person: str
    sex: str | None = None


def virtual_jobs(count: int, labelled: int, seed: int) -> list[Job]:
    """``count`` virtual people, the first ``labelled`` of them with their bones."""
    names = [f"virtual-{seed}-{index:05d}" for index in range(count)]
    return [
        Job(name, VirtualSource(seed, index, index < labelled), name)
        for index, name in enumerate(names)
    ]


def find_jobs(paths: Sequence[str | Path], side: str | None = None) -> list[Job]:
    """What there is to prepare in the given places.

    A place is a table (``.csv``, see :data:`COLUMNS`; paths in it are relative to it); a CT in one
    file, or a folder of one DICOM series (unlabelled); a case folder, with ``ct.*`` or ``ct/`` and
    perhaps ``bones.*`` (a label map) or ``bones/`` (meshes); or a folder of CTs and such folders.

    Args:
        paths: places.
        side: "L" or "R", of cases whose side is not given.

    Returns:
        Jobs in the order found. What they name need not exist: a broken case fails on its own.

    Raises:
        InputError: a place does not exist or contains nothing, a table is damaged, or two cases
            have one name.
    """
    jobs = [job for path in paths for job in _jobs_in(Path(path).absolute(), side)]
    taken: set[str] = set()
    for job in jobs:
        if job.case_id.lower() in taken:
            raise InputError(f"Two cases are called {job.case_id}.", "Rename one, or use a table.")
        taken.add(job.case_id.lower())
    return jobs


def person_of(case_id: str) -> str:
    """The name of a case without the words for its side: two knees of one person share it."""
    return _SIDE_WORD.sub("", case_id).strip("_-. ") or case_id


def _jobs_in(path: Path, side: str | None) -> list[Job]:
    if not path.exists():
        raise InputError(f"'{path}' was not found.", "Check the path.")
    if not path.is_dir():
        return _table(path, side) if path.suffix.lower() == ".csv" else [_single(path, side)]
    own = _folder(path, side)
    if own is not None:
        return [own]
    jobs = []
    for child in sorted(path.iterdir()):
        if child.name.startswith("."):
            continue
        if child.is_dir():
            # A folder without a CT is a case all the same: one that fails and is listed.
            jobs.append(_folder(child, side) or _single(child, side))
        elif child.name.lower().endswith(CT_SUFFIXES):
            jobs.append(_single(child, side))
    if not jobs:
        raise InputError(f"'{path}' contains no CT.", "Give CTs, case folders or a table.")
    return jobs


def _single(path: Path, side: str | None, bones: Path | None = None, name: str = "") -> Job:
    name = name or re.sub(r"(?i)(\.nii\.gz|\.\w+)$", "", path.name)
    case_id = re.sub(r"[^A-Za-z0-9_.+-]+", "_", name).lstrip("_.+-") or "case"
    return Job(case_id, FileSource(path, bones, side), person_of(case_id))


def _folder(folder: Path, side: str | None) -> Job | None:
    """The case that a folder is, or None."""
    ct, bones = _named(folder, "ct"), _named(folder, "bones")
    if ct is not None:
        return _single(ct, side, bones, folder.name)
    if any(has_preamble(child) for child in sorted(folder.iterdir())[:20]):
        return _single(folder, side, name=folder.name)
    return None


def _named(folder: Path, stem: str) -> Path | None:
    """The folder or volume of that name in a case folder."""
    for child in sorted(folder.iterdir()):
        name = child.name.lower()
        if child.is_dir() and name == stem:
            return child
        if name.split(".")[0] == stem and name.endswith(CT_SUFFIXES):
            return child
    return None


def _table(path: Path, side: str | None) -> list[Job]:
    try:
        text = read_text_bytes(path).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = tuple(reader.fieldnames or ())
        rows = list(reader)
    except (ValueError, csv.Error) as error:
        raise InputError(f"'{path}' cannot be read ({error}).", "Give a CSV in UTF-8.") from error
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown or "ct" not in columns:
        what = f"a column '{unknown[0]}'" if unknown else "no column 'ct'"
        raise InputError(f"'{path}' has {what}.", f"Columns are {', '.join(COLUMNS)}.")
    jobs = []
    for number, row in enumerate(rows, start=2):
        cell = {column: (row.get(column) or "").strip() for column in COLUMNS}
        where = f"'{path}', line {number}:"
        if None in row or not cell["ct"]:
            raise InputError(f"{where} no CT, or too many cells.", "Correct the line.")
        if cell["side"] not in ("", "L", "R"):
            raise InputError(
                f"{where} '{cell['side']}' is not a side.", "Use L or R, or leave it empty."
            )
        if cell["case"] and not is_case_name(cell["case"]):
            raise InputError(
                f"{where} '{cell['case']}' cannot name a folder.", "Use letters, digits, _, - and ."
            )
        bones = path.parent / cell["bones"] if cell["bones"] else None
        job = _single(path.parent / cell["ct"], cell["side"] or side, bones, cell["case"])
        jobs.append(Job(job.case_id, job.source, cell["person"] or job.person, cell["sex"] or None))
    if not jobs:
        raise InputError(f"'{path}' has no line.", "Give a line per case.")
    return jobs
