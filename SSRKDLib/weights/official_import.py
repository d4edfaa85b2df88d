"""Import of the published SSR-KD checkpoints (PyTorch files) into a bundle.

The files are ``bone_seg`` and ``recon_ct``, each ``{"A": ..., "B": ...}`` (the two
networks of cross pseudo supervision), and ``recon_xray``, one ``state_dict``.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SSRKDLib.core.anatomy import LABELS
from SSRKDLib.core.errors import WeightsError
from SSRKDLib.core.messages import Message
from SSRKDLib.weights.bundle import read_bundle, write_bundle
from SSRKDLib.weights.pytorch_files import read_pytorch
from SSRKDLib.weights.state_dict import find_misfit

if TYPE_CHECKING:
    from torch import Tensor, nn

BUNDLE_NAME = "official-ssrkd"


@dataclass(frozen=True)
class Checkpoint:
    """A published file and the network it belongs to.

    Attributes:
        network: The name in the bundle.
        architecture: ``module:class`` within ``SSRKDLib.networks``.
        pair: Whether the file holds two networks, ``A`` and ``B``.
    """

    network: str
    architecture: str
    pair: bool


CHECKPOINTS = {
    "bone_seg": Checkpoint("segmenter", "official_segmenter:OfficialSegmenter", True),
    "recon_ct": Checkpoint("teacher", "official_teacher:OfficialTeacher", True),
    "recon_xray": Checkpoint("student", "official_student:OfficialStudent", False),
}

_DOWNLOAD_AGAIN = "Download the file again from the authors' page."
_REVISION = "e9df8f8"


def identify_checkpoint(path: Path) -> str:
    """Which of the published files this is, by its keys.

    Raises:
        WeightsError: It is none of them, or cannot be read safely.
    """
    return _identify(read_pytorch(path), Path(path))


def import_official(files: Mapping[str, Path], target: Path) -> None:
    """Import published checkpoints into a bundle of kind ``official``.

    Everything is checked before anything is written. Where ``target`` is an official
    bundle already, the networks in it that ``files`` does not bring are kept, so that
    the files can be imported one after the other; a damaged one is replaced.

    Args:
        files: One or more of ``bone_seg``, ``recon_ct``, ``recon_xray`` -> the file.
        target: The bundle to write, a ``.zip`` or a folder.

    Raises:
        WeightsError: PyTorch is too old; or a file cannot be read safely, is another
            checkpoint than was given, or does not fit key by key.
        OutputError: The bundle cannot be written.
    """
    networks, tensors, sources = _existing(target)
    for name, file in files.items():
        file = Path(file)
        content = read_pytorch(file)
        found = _identify(content, file)
        if found != name:
            raise WeightsError(
                "{file} was given as {name} but is {found}.",
                "Give it as {found}, or choose {name}.",
                file=file,
                name=name,
                found=found,
            )
        checkpoint = CHECKPOINTS[name]
        state = _checked_state(name, content, file)
        prefix = checkpoint.network + "."
        tensors = {k: t for k, t in tensors.items() if not k.startswith(prefix)}
        tensors.update({prefix + key: tensor for key, tensor in state.items()})
        networks[checkpoint.network] = {"architecture": checkpoint.architecture, "arguments": {}}
        sources[name] = {
            "file": file.name,
            "sha256": _file_hash(file),
            "kept": "A of A and B" if checkpoint.pair else "all",
        }
    write_bundle(target, _manifest(networks, sources), tensors)


def _existing(target: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Networks, tensors and sources of the official bundle at ``target``, else nothing."""
    try:
        bundle = read_bundle(target)
    except WeightsError:
        return {}, {}, {}
    if bundle.manifest["kind"] != "official":
        return {}, {}, {}
    sources = dict(bundle.manifest["training"].get("sources", {}))
    return dict(bundle.manifest["networks"]), dict(bundle.tensors), sources


#: Where trainings put the network, beside epochs, scores and optimisers.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")

#: What data-parallel training, torch.compile and Lightning put before the keys of a network.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")


def _states(content: Any) -> dict[str, dict[str, Any]]:
    """The ``state_dict`` of each network in a checkpoint, without what trainings put around it."""
    while isinstance(content, dict) and not {"A", "B"} <= set(content):
        inner = next((content[k] for k in _WRAPPERS if isinstance(content.get(k), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict):
        return {}
    state = _strip(content)
    if state and all(key.startswith(("A.", "B.")) for key in state):
        content = {n: {k[2:]: v for k, v in state.items() if k.startswith(f"{n}.")} for n in "AB"}
    pair = {"A", "B"} <= set(content)
    states = {name: content[name] for name in "AB"} if pair else {"": content}
    return {name: _strip(state) for name, state in states.items() if isinstance(state, dict)}


def _strip(state: Mapping[Any, Any]) -> dict[str, Any]:
    """Without prefixes; what stands beside most keys without theirs belongs to the training."""
    stripped = {str(key): value for key, value in state.items()}
    while True:
        counts = {p: sum(key.startswith(p) for key in stripped) for p in _PREFIXES}
        prefix = max(counts, key=lambda p: counts[p])
        if 2 * counts[prefix] <= len(stripped):
            return stripped
        stripped = {k[len(prefix) :]: v for k, v in stripped.items() if k.startswith(prefix)}


def _identify(content: Any, path: Path) -> str:
    keys = set().union(*_states(content).values())
    shared = {name: len(keys & set(_template(name))) for name in CHECKPOINTS}
    best = max(shared, key=lambda name: shared[name])
    if not shared[best]:
        raise WeightsError(
            "{path} is none of the SSR-KD checkpoints {checkpoints}.",
            "Choose one of these files from the authors' page.",
            path=path,
            checkpoints=", ".join(CHECKPOINTS),
        )
    return best


def _template(name: str) -> dict[str, Tensor]:
    """Keys and shapes that the checkpoint must have, without memory for the values."""
    import torch

    with torch.device("meta"):
        return architecture_class(CHECKPOINTS[name].architecture)().state_dict()


def architecture_class(architecture: str) -> type[nn.Module]:
    """The class behind an ``architecture`` in the manifest of an official bundle.

    Raises:
        WeightsError: No official network is called so.
    """
    if architecture not in {checkpoint.architecture for checkpoint in CHECKPOINTS.values()}:
        raise WeightsError(
            "The architecture {architecture!r} is not known.",
            "Update SSRKD, or use other weights.",
            architecture=architecture,
        )
    module, name = architecture.split(":")
    return getattr(importlib.import_module(f"SSRKDLib.networks.{module}"), name)


def _checked_state(name: str, content: Any, path: Path) -> dict[str, Tensor]:
    """The network to keep, after every network in the file was found to fit."""
    states = _states(content)
    wanted = ["A", "B"] if CHECKPOINTS[name].pair else [""]
    if sorted(states) != wanted:
        form = "two networks, A and B" if CHECKPOINTS[name].pair else "one network"
        raise WeightsError(
            Message(
                "{path} is not {name} as published, which contains {form}; it contains {count}.",
                path=path,
                name=name,
                form=form,
                count=len(states),
            ),
            _DOWNLOAD_AGAIN,
        )
    template = _template(name)
    for label, state in states.items():
        misfit = find_misfit(template, state)
        if misfit:
            which = f"{name}, network {label}" if label else name
            raise WeightsError(
                Message(
                    "{path} is not {which}, as published: {misfit}; nothing was imported.",
                    path=path,
                    which=which,
                    misfit=misfit,
                ),
                _DOWNLOAD_AGAIN,
            )
    return states[wanted[0]]


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _manifest(networks: Mapping[str, Any], sources: Mapping[str, Any]) -> dict[str, Any]:
    """What is known about the published weights (measured on their code and its output)."""
    return {
        "name": BUNDLE_NAME,
        "title": "SSR-KD, published weights (research, not for diagnosis)",
        "kind": "official",
        "networks": dict(networks),
        "labels": dict(LABELS),
        "geometry": {
            "views": ["source along x (0 degrees)", "source along y (90 degrees)"],
            "source_to_detector_mm": 2000.0,
            "source_to_axis_mm": 1000.0,
            "detector_size": [512, 512],
            "detector_spacing_mm": [0.575, 0.575],
            "volume_size": [512, 512, 512],
            "volume_spacing_mm": [0.5, 0.5, 0.5],
            "box_zyx": [[-1.01, 1.01], [-0.8, 0.8], [-0.8, 0.8]],
            "align_corners": True,
            "warning": "Every CT was stretched to a cube for training, so millimetres from these "
            "weights are uncertain.",
        },
        "normalisation": {
            "values": "line integral of clip((HU + 400) / 900, 0, 1)",
            "path_unit": "m",
            "segmenter_factor": 1.0,
            "student_factor": 6.0,
            "student_channels": ["non-bone halved", "image"],
        },
        "training": {
            "data": "the authors' CT cases, see arXiv 2508.13947",
            "code": f"https://github.com/xmed-lab/SSR-KD, commit {_REVISION}",
            "sources": dict(sources),
        },
        "scores": {
            "split": "the authors' test split",
            "dsc_percent": {"patella": 87.5, "femur": 96.1, "fibula": 84.1, "tibia": 96.0},
            "hd_mm": {"patella": 3.30, "femur": 2.20, "fibula": 2.87, "tibia": 2.06},
            "assd_paper_mm": {"patella": 1.12, "femur": 0.80, "fibula": 1.05, "tibia": 0.77},
        },
        "licence": "MIT (xmed-lab/SSR-KD); imported by the user from the authors' files",
    }
