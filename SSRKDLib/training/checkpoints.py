"""Networks by path: from a training's checkpoint, or from a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.core.forms import misfit
from SSRKDLib.networks.bone_locator import BoneLocator
from SSRKDLib.networks.locator import Locator
from SSRKDLib.networks.segmenter import Segmenter
from SSRKDLib.networks.student import Student
from SSRKDLib.weights.bundle import read_bundle, read_manifest
from SSRKDLib.weights.catalogue import find_bundle
from SSRKDLib.weights.official_import import architecture_class
from SSRKDLib.weights.pytorch_files import read_pytorch
from SSRKDLib.weights.state_dict import built

#: Key of a checkpoint under which :class:`~SSRKDLib.training.tasks.base.Task` describes itself.
ENTRY = "ssrkd"
#: The newest checkpoint's name in a training's folder.
LAST = "last.ckpt"
#: Layout of that entry.
FORMAT = 1

#: What a checkpoint and its entries of networks consist of.
_FORM = {
    ENTRY: {"networks": {}, "steps": int, "options": {}, "about": {}, "normalisation": (str, {})},
    "state_dict": {},
}
_NETWORK = {"architecture": str, "arguments": {}, "attribute": str}

_ANOTHER = "Use another checkpoint of the training (it keeps its last ones)."

_OWN = {kind.__name__: kind for kind in (Segmenter, Locator, Student, BoneLocator)}


def read_network(path: str | Path, name: str) -> nn.Module:
    """A network in evaluation mode.

    Args:
        path: a checkpoint (``.ckpt``), or a bundle's path or name.
        name: in a bundle: ``segmenter``, ``locator``, ``student`` or ``teacher``.

    Raises:
        WeightsError: absent, damaged, or it contains no such network.
    """
    if str(path).endswith((".ckpt", ".pt")):
        checkpoint = read_checkpoint(path)
        entries = checkpoint[ENTRY]["networks"]
        if name not in entries:
            raise WeightsError(
                f"The checkpoint {path} contains no {name}, only {', '.join(entries)}.",
                f"Give the checkpoint of a training of the {name}.",
            )
        tensors = network_state(checkpoint, name)
        entry = entries[name]
    else:
        bundle = read_bundle(find_bundle(path))
        tensors = bundle.network_tensors(name)
        entry = bundle.manifest["networks"][name]
    try:
        kind = network_class(entry["architecture"])
        network = built(kind, entry["arguments"], tensors, f"{path}: {name}")
    except ValueError as error:
        raise WeightsError(f"The {name} in {path} cannot be made ({error}).", _ANOTHER) from error
    return network.eval().requires_grad_(False)


def networks_of(path: str | Path) -> dict[str, dict[str, Any]]:
    """Architecture and arguments of each network of a checkpoint or a bundle, by its name; path
    and errors as for :func:`read_network`."""
    if str(path).endswith((".ckpt", ".pt")):
        return read_checkpoint(path)[ENTRY]["networks"]
    return read_manifest(find_bundle(path))["networks"]


def build_network(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """A new network of an architecture's name, as in a bundle's manifest."""
    return network_class(architecture)(**arguments)


def network_class(architecture: str) -> type[nn.Module]:
    """The class of that name, as in a bundle's manifest."""
    return _OWN[architecture] if architecture in _OWN else architecture_class(architecture)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint that :class:`~SSRKDLib.training.tasks.base.Task` wrote; no code in it is run.

    Raises:
        WeightsError: absent, damaged, or of another program.
    """
    checkpoint = read_pytorch(path)
    try:
        wrong = misfit(checkpoint, _FORM, "its content")
    except (AttributeError, KeyError, TypeError) as error:
        raise WeightsError(f"The checkpoint {path} is damaged ({error!r}).", _ANOTHER) from error
    entry = checkpoint.get(ENTRY) if isinstance(checkpoint, dict) else None
    if not isinstance(entry, dict) or entry.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is not a checkpoint of this program's trainings.",
            "Give a .ckpt file that Training/train.py wrote.",
        )
    described = entry.get("networks")
    for name, network in described.items() if isinstance(described, dict) else ():
        wrong = wrong or misfit(network, _NETWORK, f"its network {name!r}")
    if wrong or not described:
        raise WeightsError(
            f"The checkpoint {path} is damaged ({wrong or 'it describes no network'}).", _ANOTHER
        )
    return checkpoint


def network_state(checkpoint: dict[str, Any], name: str) -> dict[str, torch.Tensor]:
    """The ``state_dict`` of one of a checkpoint's networks."""
    prefix = checkpoint[ENTRY]["networks"][name]["attribute"] + "."
    state = checkpoint["state_dict"]
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
