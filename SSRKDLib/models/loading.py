"""Weights by name, ready to reconstruct with: the one place where a bundle becomes a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from SSRKDLib.core.batching import is_out_of_memory
from SSRKDLib.core.errors import DeviceMemoryError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from SSRKDLib.models.ct_model import CtModel
    from SSRKDLib.models.knee_model import KneeModel
    from SSRKDLib.models.official_model import OfficialKneeModel

DEVICES = ("auto", "cpu", "cuda")

_Result = TypeVar("_Result")
_Model = TypeVar("_Model")


def load_model(
    name_or_path: str | Path | None = None, device: str = "auto"
) -> KneeModel | OfficialKneeModel:
    """The networks of a bundle, whatever its kind.

    Args:
        name_or_path: a name that ``weights list`` shows, or a path; None: the shipped weights.
        device: one of :data:`DEVICES`; ``auto`` is CUDA where PyTorch can use it.

    Raises:
        WeightsError: absent, damaged, or of another architecture.
        InputError: a device that is not there.
        MissingDependencyError: torch or safetensors is not installed.
    """
    from SSRKDLib.models.knee_model import KneeModel
    from SSRKDLib.weights.bundle import read_manifest
    from SSRKDLib.weights.catalogue import find_bundle

    path = find_bundle(name_or_path)
    manifest = read_manifest(path)
    device = resolve_device(device)
    if manifest["kind"] != "official":
        return KneeModel.load(path, device)
    from SSRKDLib.models.official_model import OfficialKneeModel, OfficialModel
    from SSRKDLib.weights.bundle import read_bundle

    official = OfficialModel.from_bundle(read_bundle(path), device)
    return OfficialKneeModel(official, KneeModel.load(None, device), manifest)


def load_ct_model(name_or_path: str | Path | None = None, device: str = "auto") -> CtModel:
    """The network of a bundle that reads CTs, its teacher.

    Args:
        name_or_path, device: see :func:`load_model`.

    Raises:
        WeightsError: absent, damaged, of another architecture, or without a teacher.
        InputError: a device that is not there.
        MissingDependencyError: torch or safetensors is not installed.
    """
    from SSRKDLib.models.ct_model import CtModel
    from SSRKDLib.weights.bundle import read_bundle
    from SSRKDLib.weights.catalogue import find_bundle

    path = find_bundle(name_or_path)
    device = resolve_device(device)
    return CtModel.from_bundle(read_bundle(path), device)


def resolve_device(wanted: str) -> str:
    """``"cpu"`` or ``"cuda"`` for one of :data:`DEVICES`.

    Raises:
        InputError: CUDA is asked for and not there.
        MissingDependencyError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            "PyTorch is not installed.", "Install it: python -m pip install torch"
        ) from error
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA device here.", "Use --device cpu or auto.")
    return wanted


class ModelCache(Generic[_Model]):
    """Models that were loaded, until their file changes; one per device.

    Args:
        load: gives the model of weights and device: :func:`load_model` or :func:`load_ct_model`.
    """

    def __init__(self, load: Callable[[str | Path | None, str], _Model] = load_model) -> None:
        self._load = load
        self._kept: dict[str, tuple[tuple, _Model]] = {}

    def load(self, name_or_path: str | Path | None = None, device: str = "auto") -> _Model:
        """The model, from memory where the same weights are there already; raises as ``load``."""
        from SSRKDLib.weights.bundle import MANIFEST
        from SSRKDLib.weights.catalogue import find_bundle

        device = resolve_device(device)
        path = find_bundle(name_or_path)
        file = path / MANIFEST if path.is_dir() else path
        status = file.stat()
        key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
        if device not in self._kept or self._kept[device][0] != key:
            self._kept.pop(device, None)  # two sets of weights need not fit into a GPU
            self._kept[device] = (key, self._load(path, device))
        return self._kept[device][1]


def with_enough_memory(run: Callable[[str], _Result], device: str) -> tuple[_Result, str]:
    """Run something on a device; on the CPU where ``auto`` found a GPU that is too small.

    Args:
        run: does it on ``"cpu"`` or ``"cuda"``.
        device: one of :data:`DEVICES`.

    Returns:
        What ``run`` returned, and a sentence for the user where it was not the device's first
        choice, else "".

    Raises:
        DeviceMemoryError: memory ran out, on the CPU or on the GPU that was asked for.
    """
    chosen = resolve_device(device)
    try:
        return run(chosen), ""
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if chosen == "cpu":
            raise DeviceMemoryError(
                "The computer's memory does not suffice.",
                "Close other programs, or choose a coarser resolution.",
            ) from error
        if device != "auto":
            raise DeviceMemoryError(
                "The GPU's memory does not suffice, even in small portions.",
                "Use the CPU, close other programs that use the GPU, or choose a coarser "
                "resolution.",
            ) from error
    return run("cpu"), "The GPU's memory did not suffice; the CPU was used."
