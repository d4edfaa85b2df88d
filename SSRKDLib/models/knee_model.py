"""The project's own networks as one model: NumPy in, NumPy out.

This is the only door between the torch-free pipeline and torch, which is imported when a model is
loaded.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from SSRKDLib.core.batching import in_batches
from SSRKDLib.core.errors import WeightsError
from SSRKDLib.geometry.virtual_cameras import REACH, Framing
from SSRKDLib.models.devices import resolve_device
from SSRKDLib.models.interface import BoneField
from SSRKDLib.radiographs.network_input import FramedRadiographs
from SSRKDLib.radiographs.normalisation import LOCAL_CONTRAST_NAMES
from SSRKDLib.weights.bundle import read_bundle
from SSRKDLib.weights.catalogue import find_bundle
from SSRKDLib.weights.state_dict import load_network, misfit

#: Points per query on a CPU: what the student computes of so many stays in a core's cache, which
#: nearly halves the time per point.
CACHED_POINTS = 4096


class KneeModel:
    """Segmenter, locator and student of one bundle, on one device.

    Attributes:
        name: of the bundle.
        manifest: its bundle.json.
        device: ``"cpu"`` or ``"cuda"``.
        framing: the virtual images that the networks were trained on.
        surface: what is delivered by default, see
            :func:`SSRKDLib.reconstruction.radiographs.reconstruct`.
    """

    surface = "fitted"

    #: Called before images go through a network, see :meth:`watched`.
    _before: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, networks: dict[str, Any], manifest: dict, device: str) -> None:
        import torch

        self._torch = torch
        self._networks = {name: net.to(device).eval() for name, net in networks.items()}
        self.manifest, self.device = manifest, device
        self.name = manifest["name"]
        self.framing = framing_of(manifest)

    @classmethod
    def load(cls, name_or_path: str | Path | None = None, device: str = "auto") -> KneeModel:
        """Load a bundle (None: the shipped one) onto one of
        :data:`~SSRKDLib.models.devices.DEVICES`.

        Raises:
            WeightsError: absent, damaged, or not the project's own networks.
            InputError: a device that is not there.
            MissingDependencyError: torch is not installed.
        """
        device = resolve_device(device)
        from SSRKDLib.networks.locator import Locator
        from SSRKDLib.networks.segmenter import Segmenter
        from SSRKDLib.networks.student import Student

        bundle = read_bundle(find_bundle(name_or_path))
        normalisation = bundle.manifest["normalisation"]
        if normalisation not in LOCAL_CONTRAST_NAMES:
            raise WeightsError(
                "The weights '{name}' need the normalisation {normalisation!r}, which this "
                "version of SSRKD does not have.",
                "Update SSRKD, or use weights made for this version.",
                name=bundle.manifest["name"],
                normalisation=normalisation,
            )

        def expected(kind: type) -> Callable[[str], type]:
            def class_of(architecture: str) -> type:
                if architecture != kind.__name__:
                    raise WeightsError(
                        "The weights '{name}' contain a {architecture} where a {kind} belongs.",
                        "Choose the shipped weights, or weights exported by Training/export.py.",
                        name=bundle.manifest["name"],
                        architecture=architecture,
                        kind=kind.__name__,
                    )
                return kind

            return class_of

        kinds = {"segmenter": Segmenter, "locator": Locator, "student": Student}
        networks = {
            name: load_network(bundle, name, expected(kind)) for name, kind in kinds.items()
        }
        return cls(networks, bundle.manifest, device)

    @property
    def finder(self) -> KneeModel:
        """The model that finds the knee and checks the result: this one."""
        return self

    def watched(self, before: Callable[[], None]) -> KneeModel:
        """The same networks, with ``before`` called whenever images go through one of them; what it
        raises ends the work that asked."""
        model = copy.copy(self)
        model._before = before
        return model

    def locate(self, images: np.ndarray) -> np.ndarray:
        """(column, row) ``[2, 5, 2]`` of the frame points in wide images ``[2, 3, w, w]``."""
        self._before()
        with self._torch.inference_mode():
            found, _ = self._networks["locator"](self._tensor(images)[None])
        return found[0].cpu().numpy().astype(np.float64)

    def segment(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of the bones ``[2, 4, n, n]`` in near images ``[2, 3, n, n]``."""
        self._before()
        with self._torch.inference_mode():
            logits = self._networks["segmenter"](self._tensor(images))
            return self._torch.sigmoid(logits).cpu().numpy()

    def read(self, radiographs: FramedRadiographs) -> BoneField:
        """The bones' field: signed distances in mm."""
        self._before()
        views = [camera.view for camera in radiographs.input.cameras]
        matrices = np.stack([view.projection_matrix for view in views])
        travels = np.stack([view.travel for view in views])
        with self._torch.inference_mode():
            encoded = self._networks["student"].encode(
                self._tensor(radiographs.input.images)[None],
                self._tensor(radiographs.masks)[None],
                self._tensor(matrices)[None],
                self._tensor(travels)[None],
            )

        def some(points: np.ndarray) -> np.ndarray:
            with self._torch.inference_mode():
                predictions = self._networks["student"].query(encoded, self._tensor(points)[None])
                return predictions[0].cpu().numpy()

        def query(points: np.ndarray) -> np.ndarray:
            at_once = CACHED_POINTS if self.device == "cpu" else max(1, len(points))
            return in_batches(some, points, at_once, self._torch.cuda.empty_cache)

        return BoneField(query, "metric", -REACH, REACH)

    def _tensor(self, array: np.ndarray) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self.device)


def framing_of(manifest: dict) -> Framing:
    """The virtual images that a bundle's networks were trained on.

    Raises:
        WeightsError: the manifest does not define them, or absurdly.
    """
    try:
        given = manifest["geometry"]["framing"]
        if set(given) != {field.name for field in fields(Framing)}:
            raise ValueError(f"it defines {', '.join(given)}")
        return Framing(**given)
    except (TypeError, ValueError, KeyError) as error:
        raise misfit(manifest, f"framing: {error}") from error
