"""Weights by name, ready to reconstruct with: the one place where a bundle becomes a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from SSRKDLib.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from SSRKDLib.model import KneeModel
    from SSRKDLib.official_pipeline import OfficialKneeModel

DEVICES = ("auto", "cpu", "cuda")


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
    from SSRKDLib.model import KneeModel
    from SSRKDLib.weights.bundle import read_manifest
    from SSRKDLib.weights.catalogue import find_bundle

    path = find_bundle(name_or_path)
    manifest = read_manifest(path)
    device = resolve_device(device)
    if manifest["kind"] != "official":
        return KneeModel.load(path, device)
    from SSRKDLib.official_pipeline import OfficialKneeModel, OfficialModel
    from SSRKDLib.weights.bundle import read_bundle

    official = OfficialModel.from_bundle(read_bundle(path), device)
    return OfficialKneeModel(official, KneeModel.load(None, device), manifest)


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
