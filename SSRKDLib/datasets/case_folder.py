"""The folder of one case, as the SSR-KD paper lays it out: what is there, reading, writing.

``submesh/sub_{0..3}.obj`` and ``mesh.obj`` (bones, stored coordinates, see
:mod:`SSRKDLib.datasets.case_frame`), ``projs.npz``, ``bone_masks.npz``, ``ct_256x.nii.gz`` and
``ct_512x.nii.gz`` (the numbers are the sizes), ``seg_mask.nii.gz``, ``sampling.npz``,
``spacing.npz``, and, of this project, ``case.json``. Unlabelled cases lack meshes, masks and
points. Names of the published README (``bone_mask.npz``, volumes as ``.npz``) are read too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import ImageError, InputError
from SSRKDLib.core.input_files import read_json
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.datasets.case_frame import PUBLISHED_FRAME, CaseFrame
from SSRKDLib.datasets.npz import read_npz
from SSRKDLib.datasets.point_sampling import Sampling, sampling_from
from SSRKDLib.images.volumes import read_stored
from SSRKDLib.images.writing import write_image
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import read_mesh
from SSRKDLib.surfaces.obj import write_obj

#: This project's own file: it is written last, so that a folder with it is whole.
RECORD = "case.json"
#: Layout of :data:`RECORD`.
VERSION = 1

MESH, PROJECTIONS, SAMPLING, SPACING = "mesh.obj", "projs.npz", "sampling.npz", "spacing.npz"
SUBMESHES: dict[str, str] = {bone: f"submesh/sub_{k}.obj" for k, bone in enumerate(BONES)}
#: Files with two names: the published code's, which is written, and the published README's.
MASKS = ("bone_masks.npz", "bone_mask.npz")
LABEL_MAP = ("seg_mask.nii.gz", "seg_mask.npz")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_CT = re.compile(r"ct_(\d+)x\.(?:nii\.gz|npz)")
_AGAIN = "Prepare the case again."


def is_case_name(name: object) -> bool:
    """Whether a case may be called so: names of cases name folders, and lead nowhere else."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _earlier(folder: Path) -> Collection[str]:
    try:
        if not CaseFolder(folder).record():
            return ()
    except InputError:
        return ()
    volumes = [f"ct_{size}x.nii.gz" for size in CaseFolder(folder).volume_sizes()]
    marks = {
        PROJECTIONS: b"projs.npy", MASKS[0]: b"projs.npy", SAMPLING: b"surface_inside.npy",
        SPACING: b"mesh.npy", **dict.fromkeys((MESH, *SUBMESHES.values()), b"v "),
        **dict.fromkeys((LABEL_MAP[0], *volumes), b"\x1f\x8b"),
    }  # fmt: skip
    return {RECORD, *files_with(folder, marks)}


#: What ``prepare`` makes of a CT.
PREPARED_CASE = ResultKind("prepared case", _earlier)


@dataclass(frozen=True)
class CaseData:
    """What a case consists of, ready to be written.

    Attributes:
        frame: where it lies.
        record: JSON values for :data:`RECORD` beside the frame.
        volumes: uint8 ``[k, j, i]`` cubes, 0 to 255 for -400 to 500 HU; the two sizes.
        projections: float32 ``[views, rows, columns]``: line integrals of that window, 0 to 1,
            over the path in metres, without noise: what the published networks take.
        line_integrals: the same shape: natural ones, ln(I0 / I), without noise.
        meshes: bones, case mm, None for an unlabelled case; so also the following.
        masks: uint8 ``[views, rows, columns]``, bit k set where the ray meets ``BONES[k]``.
        label_map: uint8 ``[k, j, i]`` of the larger size.
        sampling: points.
    """

    frame: CaseFrame
    record: dict[str, Any]
    volumes: tuple[np.ndarray, np.ndarray]
    projections: np.ndarray
    line_integrals: np.ndarray
    meshes: dict[str, Mesh] | None = None
    masks: np.ndarray | None = None
    label_map: np.ndarray | None = None
    sampling: Sampling | None = None


def write_case(folder: Path, data: CaseData) -> None:
    """Write a case into an existing empty folder; the same data make the same bytes.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    frame = data.frame
    angles = np.deg2rad(frame.angles)
    try:
        for volume in data.volumes:
            _write_volume(folder / f"ct_{len(volume)}x.nii.gz", volume, frame)
        np.savez(
            folder / PROJECTIONS,
            projs=data.projections,
            angles=angles,
            line_integrals=data.line_integrals,
        )
        if data.meshes is not None:
            _write_meshes(folder, data.meshes, frame)
            union = (data.masks > 0).astype(np.uint8)
            np.savez_compressed(folder / MASKS[0], projs=union, angles=angles, bones=data.masks)
            _write_volume(folder / LABEL_MAP[0], data.label_map, frame)
            np.savez(folder / SAMPLING, **vars(data.sampling))
        voxel = 2 * frame.half_edge / len(data.volumes[-1])
        np.savez(
            folder / SPACING,
            mesh=np.full(3, frame.half_edge),
            ct=np.full(3, voxel),
            xray_frontal=np.full(2, frame.pixel),
            xray_lateral=np.full(2, frame.pixel),
        )
        record = {"version": VERSION, **data.record, "frame": frame.as_json()}
        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
        (folder / RECORD).write_bytes(text.encode())
    except OSError as error:
        raise cannot_write(folder, error) from error


def _write_volume(path: Path, volume: np.ndarray, frame: CaseFrame) -> None:
    # The affine leads to the patient: a viewer shows a mirrored knee as it is.
    write_image(path, volume, frame.to_world @ frame.index_to_case(len(volume)))


def _write_meshes(folder: Path, meshes: dict[str, Mesh], frame: CaseFrame) -> None:
    (folder / "submesh").mkdir()
    stored = {
        # Turning (x, y, z) into (z, y, x) mirrors, so faces turn round to keep outside outside.
        bone: Mesh(frame.normalised(mesh.vertices), mesh.faces[:, ::-1])
        for bone, mesh in meshes.items()
    }
    for bone, mesh in stored.items():
        write_obj(folder / SUBMESHES[bone], mesh)
    counts = np.cumsum([0] + [len(mesh.vertices) for mesh in stored.values()])
    together = Mesh(
        np.concatenate([mesh.vertices for mesh in stored.values()]),
        np.concatenate([mesh.faces + n for mesh, n in zip(stored.values(), counts)]),
    )
    write_obj(folder / MESH, together)


class CaseFolder:
    """Reads a case, prepared by this project or by the published code.

    Every reading method raises :class:`~SSRKDLib.core.errors.InputError` (or one of its kinds)
    where the file is absent or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(f"'{self.path}' was not found.", "Check the path.")

    @property
    def case_id(self) -> str:
        return self.path.name

    @property
    def finished(self) -> bool:
        """Whether this project prepared the case to the end."""
        return (self.path / RECORD).is_file()

    @property
    def labelled(self) -> bool:
        """Whether there are points with labels, or a mesh."""
        return any((self.path / name).is_file() for name in (SAMPLING, MESH))

    def record(self) -> dict[str, Any]:
        """:data:`RECORD` as a dictionary; {} for a case of the published code."""
        path = self.path / RECORD
        if not path.is_file():
            return {}
        data = read_json(path, InputError, _AGAIN)
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise InputError(f"{path} is of another version.", _AGAIN)
        return data

    def frame(self) -> CaseFrame:
        """Where the case lies: nominal lengths for a case of the published code."""
        record = self.record()
        return CaseFrame.from_json(record.get("frame")) if record else PUBLISHED_FRAME

    def missing(self) -> list[str]:
        """Names, as written, of files that the case should have and has not."""
        wanted = [(PROJECTIONS,), (SPACING,)]
        if self.labelled:
            wanted += [(MESH,), MASKS, LABEL_MAP, (SAMPLING,)]
            wanted += [(name,) for name in SUBMESHES.values()]
        lacking = [names[0] for names in wanted if not any(map(self._has, names))]
        return lacking + ["ct_256x.nii.gz", "ct_512x.nii.gz"][len(self._volumes()) :]

    def volume_sizes(self) -> list[int]:
        """Voxels per edge of the CTs that are there, ascending."""
        return sorted(self._volumes())

    def volume(self, size: int) -> np.ndarray:
        """The CT of that size, uint8 ``[k, j, i]``, 0 to 255 for -400 to 500 HU."""
        path = self._volumes().get(size)
        if path is None:
            present = ", ".join(map(str, self.volume_sizes())) or "none"
            raise InputError(f"{self.path} has no CT of size {size} (present: {present}).", _AGAIN)
        return _read_volume(path, size)

    def label_map(self) -> np.ndarray:
        """uint8 ``[k, j, i]``, values as in ``anatomy.LABELS``."""
        return _read_volume(self._file(LABEL_MAP))

    def projections(self) -> tuple[np.ndarray, np.ndarray]:
        """``[views, rows, columns]`` in the published units, and angles ``[views]``, radians."""
        return self._images((PROJECTIONS,), "projs")

    def line_integrals(self) -> tuple[np.ndarray, np.ndarray]:
        """The same views as natural line integrals; the published code stores none."""
        return self._images((PROJECTIONS,), "line_integrals")

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Where any bone is, bool ``[views, rows, columns]``, and angles ``[views]``, radians."""
        images, angles = self._images(MASKS, "projs")
        return images > 0, angles

    def bone_bits(self) -> np.ndarray:
        """Where each bone is: uint8 ``[views, rows, columns]``, bit k for a bone.

        The published code stores none.
        """
        return self._images(MASKS, "bones")[0].astype(np.uint8)

    def meshes(self) -> dict[str, Mesh]:
        """The bones, case mm (nominal for the published code's), outward; absent ones are not."""
        frame = self.frame()
        found = {}
        for bone, name in SUBMESHES.items():
            if self._has(name):
                stored = read_mesh(self.path / name)
                mesh = Mesh(frame.millimetres(stored.vertices), stored.faces[:, ::-1])
                # The published meshes turn either way.
                found[bone] = mesh if mesh.volume() >= 0 else Mesh(mesh.vertices, stored.faces)
        return found

    def sampling(self) -> Sampling:
        """The points, see :class:`~SSRKDLib.datasets.point_sampling.Sampling`."""
        path = self._file((SAMPLING,))
        return sampling_from(read_npz(path), str(path))

    def spacing(self) -> dict[str, np.ndarray]:
        """Of ``mesh`` (mm per stored unit along z, y, x), ``ct`` and more, as there."""
        return read_npz(self._file((SPACING,)))

    def _has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def _file(self, names: tuple[str, ...]) -> Path:
        for name in names:
            if self._has(name):
                return self.path / name
        raise InputError(f"The case {self.path} has no {names[0]}.", _AGAIN)

    def _volumes(self) -> dict[int, Path]:
        found = {}
        for path in sorted(self.path.iterdir(), reverse=True):
            match = _CT.fullmatch(path.name)
            if match:  # .nii.gz comes before .npz alphabetically, so it is what remains
                found[int(match.group(1))] = path
        return found

    def _images(self, names: tuple[str, ...], key: str) -> tuple[np.ndarray, np.ndarray]:
        path = self._file(names)
        arrays = read_npz(path)
        lacking = [name for name in (key, "angles") if name not in arrays]
        if lacking:
            raise InputError(f"{path} has no '{lacking[0]}'.", _AGAIN)
        images, angles = arrays[key], arrays["angles"]
        numbers = images.dtype.kind in "fiub" and angles.dtype.kind in "fiu"
        if not numbers or images.ndim != 3 or angles.shape != images.shape[:1]:
            raise InputError(f"{path} does not contain one image per angle.", _AGAIN)
        return images, angles


def _read_volume(path: Path, size: int | None = None) -> np.ndarray:
    if path.suffix == ".npz":
        arrays = list(read_npz(path).values())
        volume = arrays[0] if len(arrays) == 1 else None
    else:
        volume = read_stored(path).array
    good = volume is not None and volume.dtype.kind in "fiu" and volume.ndim == 3
    if not good or (size is not None and volume.shape != (size,) * 3):
        raise ImageError(f"{path} is not the volume that its name indicates.", _AGAIN)
    return volume
