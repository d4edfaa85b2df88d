"""The teacher, the network that reads CTs, as a model: NumPy in, NumPy out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from SSRKDLib.core.batching import in_batches
from SSRKDLib.core.errors import WeightsError
from SSRKDLib.core.messages import Message
from SSRKDLib.weights.bundle import read_manifest
from SSRKDLib.weights.catalogue import find_bundle, list_bundles
from SSRKDLib.weights.state_dict import load_network, misfit

if TYPE_CHECKING:
    from SSRKDLib.networks.official_teacher import OfficialTeacher
    from SSRKDLib.weights.bundle import Bundle

#: The network's name in a bundle.
TEACHER = "teacher"

#: The published weights saw every CT stretched to so many voxels per edge, in crops of half of it.
PUBLISHED_SIZE, PUBLISHED_WINDOW = 256, 128

#: Every halving of the network's must come out even.
_MULTIPLE = 16

#: Voxels that the point classifier evaluates at once: on a CPU what stays in a core's cache,
#: on a GPU some 400 MB.
_AT_ONCE = {"cpu": 4096, "cuda": 1 << 18}


def check_teacher(name_or_path: str | Path | None = None) -> None:
    """Raise :class:`~SSRKDLib.core.errors.WeightsError` where weights are absent or contain no
    teacher.

    Reads the manifest only, so that Slicer's own process can call it.

    Args:
        name_or_path: see :func:`~SSRKDLib.weights.catalogue.find_bundle`.
    """
    manifest = read_manifest(find_bundle(name_or_path))
    if TEACHER in manifest["networks"]:
        return
    others = [
        info.name
        for info in list_bundles()
        if info.ok and TEACHER in read_manifest(info.path)["networks"]
    ]
    raise WeightsError(
        "The weights '{name}' contain no teacher, the network that reads CTs.",
        "Choose weights that do: {others}."
        if others
        else "Import weights that do, such as the published checkpoint recon_ct.",
        name=manifest["name"],
        others=", ".join(others),
    )


class CtModel:
    """The teacher of one bundle, on one device.

    Attributes:
        name: of the bundle.
        manifest: its bundle.json.
        device: ``"cpu"`` or ``"cuda"``.
        voxel: edge of the cubic voxels that it was trained on, mm; None: every CT was stretched to
            :data:`PUBLISHED_SIZE` voxels along each of its axes.
        window: voxels per edge that it takes at once, a multiple of 16.
        extent: edge of the cubes around the knee that it was trained on, mm; infinite where
            unknown.
        notes: sentences that belong to every result.
        surface: what is delivered by default, see
            :data:`SSRKDLib.reconstruction.choices.SURFACES`.
    """

    def __init__(
        self, teacher: OfficialTeacher, manifest: dict[str, Any], device: str = "cpu"
    ) -> None:
        self.name, self.manifest, self.device = manifest["name"], manifest, device
        self.voxel, self.window, self.extent = _sampling(manifest)
        self.surface = "field" if manifest["kind"] == "official" else "fitted"
        self._teacher = teacher.to(device).eval()
        self.notes: tuple[str, ...] = ()
        if self.voxel is None:
            self.notes = (
                Message(
                    "The published weights were trained on CTs stretched to a cube, so this CT "
                    "was stretched to {published_size} voxels along each axis for them, and the "
                    "surfaces back to its millimetres; the less its shape is a cube, the less "
                    "they can be trusted.",
                    published_size=PUBLISHED_SIZE,
                ),
            )

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: str = "cpu") -> CtModel:
        """The teacher in a bundle.

        Raises:
            WeightsError: there is none, or it does not fit its architecture.
        """
        from SSRKDLib.weights.official_import import architecture_class

        teacher = load_network(bundle, TEACHER, architecture_class)
        return cls(teacher, bundle.manifest, device)

    def margins(self, values: np.ndarray) -> np.ndarray:
        """Each bone's logit less the largest other's, background included: positive where it wins.

        Args:
            values: float32 ``[k, j, i]``, clip((HU + 400) / 900, 0, 1), sides multiples of 16.

        Returns:
            float32 ``[bones, k, j, i]``, the finest head's prediction at the voxels' middles.
        """
        import torch

        from SSRKDLib.models.official_model import bone_margins

        with torch.inference_mode():
            volume = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
            features = self._teacher.encode(volume[None, None].to(self.device)).maps[-1].flatten(2)

            def some(voxels: np.ndarray) -> np.ndarray:
                logits = self._teacher.surface_classifier(
                    features[:, :, voxels[0] : voxels[-1] + 1]
                )
                return bone_margins(logits[0].T).cpu().numpy()

            everywhere = np.arange(values.size)
            found = in_batches(some, everywhere, _AT_ONCE[self.device], torch.cuda.empty_cache)
        return found.T.reshape(-1, *values.shape)


def _sampling(manifest: dict[str, Any]) -> tuple[float | None, int, float]:
    """Voxel edge in mm (None: stretched), window, and edge of the cubes around the knee in mm, of a
    bundle's teacher."""
    if manifest["kind"] == "official" and "ct" not in manifest["geometry"]:
        return None, PUBLISHED_WINDOW, math.inf
    try:
        about = manifest["geometry"]["ct"]
        voxel, window = float(about["voxel_mm"]), int(about["window"])
        extent = float(about.get("extent_mm", math.inf))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise misfit(manifest, "it does not define the voxels in which it takes a CT") from error
    if not (math.isfinite(voxel) and 0.1 <= voxel <= 10):
        raise misfit(manifest, f"voxels of {voxel:g} mm")
    if window % _MULTIPLE or not _MULTIPLE <= window <= 512:
        raise misfit(manifest, f"a window of {window} voxels")
    if not extent >= 10:
        raise misfit(manifest, f"a CT of {extent:g} mm")
    return voxel, window, extent
