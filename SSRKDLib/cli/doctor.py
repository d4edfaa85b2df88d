"""``python -m SSRKDLib doctor``: what is installed, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from SSRKDLib import __version__
from SSRKDLib.core.errors import SSRKDError
from SSRKDLib.core.optional_packages import OLDEST_TORCH
from SSRKDLib.core.output_file import maybe_half_written
from SSRKDLib.core.output_folder import recover_in

#: What is imported of distributions of another name.
_MODULES = {"vtk": "vtkmodules.vtkCommonCore", "SimpleITK": "SimpleITK.SimpleITK"}

#: Distribution and what it is for; the lists of pyproject.toml (a test compares them).
_NEEDED = (
    ("numpy", "arrays"),
    ("scipy", "images and geometry"),
    ("vtk", "surfaces"),
    ("SimpleITK", "image files"),
    ("pydicom", "DICOM tags"),
    ("torch", "networks"),
    ("safetensors", "weights"),
)
_OPTIONAL = (
    ("matplotlib", "pictures and plots"),
    ("lightning", "training"),
    ("torchmetrics", "training"),
    ("jsonargparse", "training"),
    ("pyyaml", "training"),
    ("tqdm", "training"),
    ("dask", "preparing cases in parallel"),
    ("pyTIGRE", "projection on a GPU in training"),
)


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``doctor`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser("doctor", help="what is installed and what is missing")
    parser.add_argument(
        "folder", nargs="?", default=".", metavar="FOLDER",
        help="results in it that a killed process left in pieces are brought to an end "
        "(default: the working folder)",
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print a line per thing: ``ok``, ``missing`` (needed) or ``absent`` (optional).

    Returns:
        0 where everything that Reconstruct needs is there, else 1.
    """
    _line("ok", f"SSRKD {__version__}, {platform.platform()}, {os.cpu_count()} CPU cores")
    _line("ok", f"Python {platform.python_version()} ({sys.executable})")
    good = [_package(name, use, True) for name, use in _NEEDED]
    good.append(_device())
    _memory()
    good.append(all(good) and _weights())
    for name, use in _OPTIONAL:
        _package(name, use, False)
    _results(Path(arguments.folder))
    if all(good):
        print("Everything that Reconstruct needs is there.")
        return 0
    print("Reconstruct will not run before the missing things are there.")
    return 1


def _line(state: str, text: str) -> bool:
    print(f"{state:<8} {text}")
    return state == "ok"


def _package(name: str, use: str, needed: bool) -> bool:
    try:
        version = metadata.version(name)
        if needed:
            importlib.import_module(_MODULES.get(name, name))
        return _line("ok", f"{name} {version} ({use})")
    except metadata.PackageNotFoundError:
        remedy = f"{name} ({use}): python -m pip install {name}"
    except Exception as error:  # a broken installation fails in many ways; all are worth a line
        again = f"python -m pip install --force-reinstall {name}"
        remedy = f"{name} ({use}): does not load ({error}): {again}"
    return _line("missing" if needed else "absent", remedy)


def _device() -> bool:
    try:
        import torch
    except Exception:  # said above
        return False
    if tuple(int(n) for n in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        wanted = ".".join(map(str, OLDEST_TORCH))
        _line(
            "absent",
            f"import of official checkpoints: needs torch {wanted} or newer: "
            "python -m pip install --upgrade torch",
        )
    if not torch.cuda.is_available():
        return _line("ok", f"device: CPU, {torch.get_num_threads()} threads (no CUDA device found)")
    free, total = torch.cuda.mem_get_info()
    name = torch.cuda.get_device_name()
    return _line("ok", f"device: {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")


def _memory() -> None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return
    enough = "" if total >= 4 else ": little; close other programs before reconstructing"
    _line("ok", f"memory: {total:.1f} GiB{enough}")


def _results(folder: Path) -> None:
    """Bring back results that killed processes left aside, and remove what they had begun; say
    what may have been left by an earlier version, which nothing proves."""
    try:
        for name in recover_in(folder):
            _line("ok", f"result {folder / name}: what a killed process left was cleared up")
        for name in maybe_half_written(folder):
            _line(
                "absent",
                f"result {folder / name}: an earlier version may have left it half-written; "
                "if nothing in it is yours, it may be deleted by hand",
            )
    except (SSRKDError, OSError) as error:
        _line("absent", f"results in {folder}: {error}")


def _weights() -> bool:
    from SSRKDLib.weights.bundle import verify_bundle
    from SSRKDLib.weights.catalogue import DEFAULT_NAME, list_bundles, user_folder

    bundles = list_bundles()
    sound = set()
    for info in bundles:
        try:
            verify_bundle(info.path)
        except SSRKDError as error:
            _line("missing", f"weights {info.name}: {error}")
        else:
            sound.add(info.name)
            _line("ok", f"weights {info.name}: {info.title}")
    there = DEFAULT_NAME in sound
    if not there:
        _line("missing", f"weights {DEFAULT_NAME}: install SSRKD again, or weights import FILE")
    _line("ok", f"imported weights are kept in {user_folder()}")
    return there
