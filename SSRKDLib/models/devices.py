"""Where networks run: which device is there, and what happens where its memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from SSRKDLib.core.errors import DeviceMemoryError, InputError
from SSRKDLib.core.system_errors import is_out_of_memory, missing_package

DEVICES = ("auto", "cpu", "cuda")

_Result = TypeVar("_Result")


def resolve_device(wanted: str) -> str:
    """``"cpu"`` or ``"cuda"`` for one of :data:`DEVICES`.

    Raises:
        InputError: not a device, or CUDA is requested and not available.
        MissingDependencyError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", error) from error
    try:
        torch.device("cpu" if wanted == "auto" else wanted)
    except RuntimeError as error:
        raise InputError(
            "'{wanted}' is not a device: use {devices}.", wanted=wanted, devices=", ".join(DEVICES)
        ) from error
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA device here.", "Use --device cpu or auto.")
    return wanted


def with_enough_memory(run: Callable[[str], _Result], device: str) -> tuple[_Result, list[str]]:
    """Run something on a device; on the CPU where ``auto`` found a GPU that is too small.

    Args:
        run: does it on ``"cpu"`` or ``"cuda"``.
        device: one of :data:`DEVICES`.

    Returns:
        What ``run`` returned, and a warning where the device was not the first choice.

    Raises:
        DeviceMemoryError: memory ran out, on the CPU or on the GPU that was requested.
    """
    chosen = resolve_device(device)
    try:
        return run(chosen), []
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
                "The GPU's memory does not suffice, even in small batches.",
                "Use the CPU, close other programs that use the GPU, or choose a coarser "
                "resolution.",
            ) from error
    return run("cpu"), ["The GPU's memory did not suffice; the CPU was used."]
