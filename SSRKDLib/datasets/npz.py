"""NumPy's ``.npz`` files, also those that contain pickled objects, without running their code.

The published code stores its points as a pickled dictionary. Unpickling calls whatever functions
the file names; here it may name those that make NumPy arrays, and nothing else.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.zip_files import open_zip

#: What a pickled array names, in the modules of NumPy 1 and of NumPy 2.
_ADMITTED = {
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


#: The admitted modules' place in the NumPy that runs.
_CORE = "numpy._core" if hasattr(np, "_core") else "numpy.core"


#: Arrays may unpack to so many bytes, and to so many times the file's size.
_SMALL, _RATIO = 1 << 30, 50


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ADMITTED:
            parts = module.split(".")
            return super().find_class(module if len(parts) == 1 else f"{_CORE}.{parts[-1]}", name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not an array")


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; pickled ones are object arrays of plain values and arrays.

    Raises:
        InputError: absent, cut off, or it contains anything but arrays.
    """
    path = Path(path)
    again = "Prepare the case again, or get the file from someone you trust."
    try:
        with open_zip(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
            if declared > max(_SMALL, _RATIO * path.stat().st_size):
                raise ValueError(f"it would unpack to {declared} bytes")
            return {
                name.removesuffix(".npy"): _member(archive, name) for name in archive.namelist()
            }
    except InputError:
        raise
    except Exception as error:  # NumPy, zipfile and pickle raise many kinds on damaged files
        raise InputError(f"{path} cannot be read as arrays ({error}).", again) from error


def mapped_npz(path: str | Path, key: str) -> np.ndarray:
    """One array of a file, mapped into memory: only what is looked at is read from the disk.

    A compressed or pickled array cannot be mapped and is read as a whole.

    Raises:
        InputError: as :func:`read_npz`, or there is no such array.
    """
    path = Path(path)
    try:
        with open_zip(path) as archive:
            info = archive.NameToInfo.get(f"{key}.npy")
            if info is not None and info.compress_type == zipfile.ZIP_STORED:
                with archive.open(info) as stream:
                    shape, fortran, dtype = _header(stream)
                    length = stream.tell()
                if not dtype.hasobject:
                    start = _data_start(path, info.header_offset) + length
                    order = "F" if fortran else "C"
                    return np.memmap(path, dtype, "r", start, shape, order)
    except Exception:
        pass  # reading it as a whole reports what is wrong
    arrays = read_npz(path)
    if key not in arrays:
        raise InputError(f"{path} has no '{key}'.", "Prepare the case again.")
    return arrays[key]


def _data_start(path: Path, header_offset: int) -> int:
    """Where a stored member's bytes begin: behind its local header, a name and extra fields."""
    with path.open("rb") as stream:
        stream.seek(header_offset + 26)
        name, extra = struct.unpack("<HH", stream.read(4))
    return header_offset + 30 + name + extra


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and type of the array that a stream begins with."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as stream:
        shape, _, dtype = _header(stream)
        if dtype.hasobject:
            return np.asarray(_ArraysOnly(stream).load())
        if math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
            raise ValueError(f"{name} is cut off")
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
