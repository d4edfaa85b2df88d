"""NumPy's ``.npz`` files, also those that hold pickled objects, without running their code.

The published code stores its points as a pickled dictionary. Unpickling calls whatever functions
the file names; here it may name those that make NumPy arrays, and nothing else.
"""

from __future__ import annotations

import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from SSRKDLib.errors import InputError

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


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ADMITTED:
            parts = module.split(".")
            return super().find_class(module if len(parts) == 1 else f"{_CORE}.{parts[-1]}", name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; pickled ones are object arrays of plain values and arrays.

    Raises:
        InputError: absent, cut off, or it holds anything but arrays.
    """
    path = Path(path)
    again = "Prepare the case again, or get the file from someone you trust."
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _member(archive, name) for name in archive.namelist()
            }
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.", "Check the path.") from error
    except (
        OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, IndexError,
        MemoryError, zlib.error, zipfile.BadZipFile, pickle.UnpicklingError,
    ) as error:  # fmt: skip
        raise InputError(f"{path} cannot be read as arrays ({error}).", again) from error


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        _, _, dtype = header(stream)
        if dtype.hasobject:
            return np.asarray(_ArraysOnly(stream).load())
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
