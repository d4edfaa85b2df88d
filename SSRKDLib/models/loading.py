"""Weights by name, ready to reconstruct with: the one place where a bundle becomes a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from SSRKDLib.core.progress import Progress
from SSRKDLib.models.devices import resolve_device, with_enough_memory

if TYPE_CHECKING:
    from SSRKDLib.models.ct_model import CtModel
    from SSRKDLib.models.knee_model import KneeModel
    from SSRKDLib.models.official_model import OfficialKneeModel
    from SSRKDLib.weights.catalogue import BundleInfo

_Result = TypeVar("_Result")
_Model = TypeVar("_Model")


def load_model(
    name_or_path: str | Path | None = None, device: str = "auto"
) -> KneeModel | OfficialKneeModel:
    """The networks of a bundle, whatever its kind.

    Args:
        name_or_path: a name that ``weights list`` shows, or a path; None: the shipped weights.
        device: one of :data:`~SSRKDLib.models.devices.DEVICES`; ``auto`` is CUDA where PyTorch can
            use it.

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


def check_bundle(path: Path) -> dict[str, Any]:
    """Whether the networks in a bundle are what its manifest says; returns the manifest. It need
    not have all that a reconstruction needs: more may be imported.

    Raises:
        WeightsError: absent, damaged, or of another architecture.
        MissingDependencyError: torch or safetensors is not installed.
    """
    from SSRKDLib.models.ct_model import TEACHER, CtModel
    from SSRKDLib.models.knee_model import framing_of
    from SSRKDLib.networks.bone_locator import BoneLocator
    from SSRKDLib.networks.locator import Locator
    from SSRKDLib.networks.segmenter import Segmenter
    from SSRKDLib.networks.student import Student
    from SSRKDLib.weights.bundle import read_bundle
    from SSRKDLib.weights.official_import import architecture_class
    from SSRKDLib.weights.state_dict import load_network

    bundle = read_bundle(path)
    own = {kind.__name__: kind for kind in (BoneLocator, Locator, Segmenter, Student)}
    for name in bundle.manifest["networks"]:
        if name == TEACHER:
            CtModel.from_bundle(bundle)
        else:
            load_network(bundle, name, lambda given: own.get(given) or architecture_class(given))
    if bundle.manifest["kind"] != "official" and set(bundle.manifest["networks"]) != {TEACHER}:
        framing_of(bundle.manifest)
    return bundle.manifest


def import_weights(files: Sequence[Path]) -> BundleInfo:
    """:func:`~SSRKDLib.weights.catalogue.import_bundle` of a bundle whose networks can be used, or
    of official checkpoints.

    Raises:
        WeightsError: as there, or as :func:`check_bundle`.
    """
    from SSRKDLib.weights.catalogue import import_bundle

    for file in files:
        if file.is_dir() or file.suffix.lower() == ".zip":
            check_bundle(file)
    return import_bundle(files)


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


class ModelCache(Generic[_Model]):
    """Models that were loaded, until one of their files changes; one per device.

    Args:
        load: gives the model of weights and device: :func:`load_model` or :func:`load_ct_model`.
    """

    def __init__(self, load: Callable[[str | Path | None, str], _Model] = load_model) -> None:
        self._load = load
        self._kept: dict[str, tuple[tuple, _Model]] = {}

    def load(self, name_or_path: str | Path | None = None, device: str = "auto") -> _Model:
        """The model, from memory where the same weights are there already; raises as ``load``."""
        from SSRKDLib.weights.catalogue import find_bundle

        device = resolve_device(device)
        path = find_bundle(name_or_path)
        # Published weights come with the shipped ones, which find the knee for them.
        key = (*_versions(path), *_versions(find_bundle(None)))
        if device not in self._kept or self._kept[device][0] != key:
            self._kept.pop(device, None)  # two sets of weights need not fit into a GPU
            self._kept[device] = (key, self._load(path, device))
        return self._kept[device][1]


def _versions(bundle: Path) -> tuple[tuple[str, int, int], ...]:
    """Path, time of change and size of every file of a bundle."""
    from SSRKDLib.weights.archive import MANIFEST, TENSORS

    files = [bundle / name for name in (MANIFEST, TENSORS)] if bundle.is_dir() else [bundle]
    statuses = [(file.resolve(), file.stat()) for file in files if file.is_file()]
    return tuple((str(path), status.st_mtime_ns, status.st_size) for path, status in statuses)


def run_with_model(
    work: Callable[[_Model], _Result],
    load: Callable[[str | Path | None, str], _Model],
    weights: str | Path | None,
    device: str,
    progress: Progress,
) -> tuple[_Result, list[str]]:
    """Load weights and work with them; on the CPU where ``auto`` found a GPU that is too small.

    Args:
        work: what is done with the model.
        load: gives the model of weights and device: :func:`load_model`, :func:`load_ct_model` or
            :meth:`ModelCache.load`.
        weights: name or path, None: the shipped ones.
        device: one of :data:`~SSRKDLib.models.devices.DEVICES`.
        progress: called when the weights are loaded.

    Returns:
        What ``work`` returned, and a warning where the device was not the first choice.

    Raises:
        DeviceMemoryError: memory ran out, on the CPU or on the GPU that was requested.
    """

    def run(on: str) -> _Result:
        progress("load", 0.02, "Loading the weights")
        return work(load(weights, on))

    return with_enough_memory(run, device)
