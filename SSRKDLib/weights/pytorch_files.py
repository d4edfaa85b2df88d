"""PyTorch's own files, of which only plain values are read.

A pickle can carry code: ``weights_only=True`` admits none, in a PyTorch in which that restriction
is known to hold.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.core.input_files import regular_file
from SSRKDLib.core.messages import Message
from SSRKDLib.core.optional_packages import OLDEST_TORCH
from SSRKDLib.core.system_errors import missing_package
from SSRKDLib.core.zip_files import open_zip

_ANOTHER = "Copy or download the file again; a training keeps its last checkpoints."


def read_pytorch(path: str | Path) -> Any:
    """The content of a checkpoint, on the CPU; no code in it is run.

    Raises:
        WeightsError: absent, damaged, it contains more than plain values, or PyTorch is too old.
        MissingDependencyError: torch is not installed.
    """
    torch = _safe_torch()
    path = regular_file(path, WeightsError)
    with path.open("rb") as file:
        start = file.read(2)
    # A zip archive, or a bare pickle of protocol 2 and later: nothing else is PyTorch's.
    if start != b"PK" and start[:1] != b"\x80":
        raise WeightsError(Message("{path} is not a PyTorch checkpoint.", path=path), _ANOTHER)
    try:
        if start == b"PK":
            with open_zip(path) as archive:
                declared = sum(member.file_size for member in archive.infolist())
            if declared > path.stat().st_size:  # PyTorch does not compress
                raise ValueError(f"it declares {declared} bytes")
        with torch.serialization.safe_globals(_numpy_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "{path} contains something other than plain tensors, such as code that would "
            "run when it is opened; it was not opened.",
            "Use files from their authors only; if this is one of them, get it again.",
            path=path,
        ) from error
    except Exception as error:  # torch.load has no list of what a damaged file makes it raise
        raise WeightsError(
            Message("{path} is damaged or cut off, or is not a PyTorch checkpoint.", path=path),
            _ANOTHER,
        ) from error


def _safe_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", error) from error
    numbers = re.match(r"(\d+)\.(\d+)", str(torch.__version__))
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST_TORCH:
        raise WeightsError(
            "PyTorch {version} cannot read checkpoints from others safely.",
            "Update PyTorch to {oldest_torch} or newer, then try again.",
            version=torch.__version__,
            oldest_torch=".".join(map(str, OLDEST_TORCH)),
        )
    return torch


def _numpy_numbers() -> list[Any]:
    """What a number of NumPy, such as the best score, is stored as: plain data."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    return [scalar, np.dtype, *kinds]
