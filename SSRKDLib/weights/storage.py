"""How a bundle's tensors are stored: in single or half precision, or in 8 bits with steps.

- ``float32``: as they are.
- ``float16``: floating-point tensors with two axes or more in half precision. Vectors are biases
  and statistics, small and wide in range: they stay as they are.
- ``int8``: the same, but large kernels of convolutions become whole numbers from -127 to 127 of the
  same shape and, under their key with ``.scale`` behind, a float32 step for each entry of the first
  axis (an output channel): value = step x number, so each is kept to half a step, 1/254 of its
  channel's largest. No network has a parameter below another, so these keys are free. Matrices of
  points' networks take no part: few weights, and distances read by them were up to 0.3 mm off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.core.messages import Message
from SSRKDLib.weights.archive import GET_ANOTHER

if TYPE_CHECKING:
    from torch import Tensor

STORAGES = ("float32", "float16", "int8")
#: In which a bundle is compressed: other tensors hardly get smaller, and would be slower to read.
EIGHT_BITS = "int8"

_SCALE = ".scale"
_LARGEST = 127
#: Smaller kernels stay in half precision: most of what 8 bits cost, and little of what they save.
_SMALLEST_KERNEL = 2**14


def to_stored(tensors: Mapping[str, Tensor], storage: str) -> dict[str, Tensor]:
    """The tensors of a bundle's file, on the CPU, each with memory of its own."""
    stored = {}
    for key, tensor in tensors.items():
        plain = tensor.detach().cpu()
        if plain.is_floating_point() and plain.dim() >= 2 and storage != "float32":
            if storage == EIGHT_BITS and plain.dim() >= 3 and plain.numel() >= _SMALLEST_KERNEL:
                plain, stored[key + _SCALE] = _in_steps(plain.float())
            else:
                plain = plain.half()
        # Tied parameters share memory, which safetensors refuses: every key gets its own.
        stored[key] = plain.clone().contiguous()
    return stored


def from_stored(stored: Mapping[str, Tensor], storage: str, where: str) -> dict[str, Tensor]:
    """What :func:`to_stored` stored; floating-point tensors are float32.

    Args:
        where: names the bundle in the message.

    Raises:
        WeightsError: 8-bit numbers lack their steps, or these do not fit them.
    """
    if storage != EIGHT_BITS:
        return {key: t.float() if t.is_floating_point() else t for key, t in stored.items()}
    import torch

    scales = {key + _SCALE for key, tensor in stored.items() if tensor.dtype == torch.int8}
    tensors = {}
    for key, tensor in stored.items():
        if key in scales:
            continue
        if tensor.dtype == torch.int8:
            steps = stored.get(key + _SCALE)
            _check_steps(key, tensor, steps, where)
            tensor = tensor * steps.reshape(-1, *[1] * (tensor.dim() - 1))
        tensors[key] = tensor.float() if tensor.is_floating_point() else tensor
    return tensors


def _in_steps(values: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers, and the step of each entry of the first axis."""
    import torch

    channels = values.flatten(1)
    steps = channels.abs().amax(1) / _LARGEST
    # A channel of zeros, or of values too small for a step, may have any step.
    steps = torch.where(steps == 0, torch.ones_like(steps), steps)
    numbers = (channels / steps[:, None]).round().clamp(-_LARGEST, _LARGEST)
    return numbers.to(torch.int8).reshape(values.shape), steps


def _check_steps(key: str, numbers: Tensor, steps: Tensor | None, where: str) -> None:
    if steps is None:
        what = "it has none"
    elif not steps.is_floating_point() or numbers.dim() < 2 or steps.shape != numbers.shape[:1]:
        expected = ", ".join(map(str, numbers.shape[:1]))
        what = f"{expected} numbers expected, {steps.dtype} {tuple(steps.shape)} found"
    elif not bool((steps.isfinite() & (steps > 0)).all()):
        what = "not all are finite and above 0"
    else:
        return
    raise WeightsError(
        Message(
            "{where}: the 8-bit tensor {key} has no usable scale: {what}.",
            where=where,
            key=key,
            what=what,
        ),
        GET_ANOTHER,
    )
