"""The published pair, segmenter and student, on radiographs of any rig.

What they read, and in which units and conventions, is in
:mod:`SSRKDLib.radiographs.published_input`.

Source: Lin et al., SSR-KD, arXiv 2508.13947, and measurements of the published code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.batching import in_batches
from SSRKDLib.core.messages import Message, joined
from SSRKDLib.geometry.virtual_cameras import Camera
from SSRKDLib.models.interface import BoneField
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import FramedRadiographs, framed_mask
from SSRKDLib.radiographs.published_input import PublishedInput, image_points, published_input
from SSRKDLib.weights.archive import MANIFEST
from SSRKDLib.weights.state_dict import load_network, misfit

if TYPE_CHECKING:
    import torch

    from SSRKDLib.models.knee_model import KneeModel
    from SSRKDLib.networks.official_segmenter import OfficialSegmenter
    from SSRKDLib.networks.official_student import OfficialStudent
    from SSRKDLib.networks.point_tables import PointTables
    from SSRKDLib.weights.bundle import Bundle


NETWORKS = ("segmenter", "student")


class OfficialField:
    """The student's field of two radiographs; a query for ``field.evaluate(band=None)``.

    Attributes:
        cameras: the virtual cameras, the lateral one first.
    """

    def __init__(self, tables: PointTables, cameras: tuple[Camera, Camera], device: str) -> None:
        self._tables, self._device = tables, device
        self.cameras = cameras

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Margins ``[N, 4]`` float32 (order of ``BONES``) at canonical points ``[N, 3]`` mm.

        A bone's margin is its logit less the largest other, background included: positive for
        the class that wins, zero on the border between two.
        """
        import torch

        def some(part: np.ndarray) -> np.ndarray:
            located = torch.from_numpy(image_points(self.cameras, part).astype(np.float32))
            return bone_margins(self._tables(located.to(self._device))).cpu().numpy()

        return in_batches(some, points, max(1, len(points)), torch.cuda.empty_cache)

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Opposite corners of the grid to evaluate, ``(3,)`` each, mm: all that both images can
        show. (:meth:`margin` gives where in it they do.)"""
        # Along the beam a camera sees more behind the joint than in front of it.
        half = max(
            camera.view.size[0] * camera.view.pixel_spacing[0] / 2 for camera in self.cameras
        )
        return np.full(3, -1.1 * half), np.full(3, 1.1 * half)

    def margin(self, points: np.ndarray) -> np.ndarray:
        """How far canonical points ``[N, 3]`` lie inside what both virtual images show, ``[N]``
        mm; negative outside, NaN behind a source. ``clip`` for ``surface.extract``."""
        margins = []
        for camera in self.cameras:
            for view in (camera.view, camera.real):
                projected = view.project(points)
                edges = np.concatenate(
                    [projected + 0.5, np.array(view.size) - 0.5 - projected], axis=1
                )
                # Two entries per image axis: low edge and high edge.
                sizes = np.stack(2 * view.pixel_size(view.depths(points)), axis=1)
                margins.append((edges * sizes).min(axis=1))
        return np.min(margins, axis=0)


class OfficialModel:
    """Segmenter and student of an imported bundle, on one device.

    Attributes:
        name: of the bundle.
        pixels: rows and columns of an image.
        pixel_mm: size of a pixel at the joint.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(
        self,
        segmenter: OfficialSegmenter,
        student: OfficialStudent,
        manifest: dict,
        device: str = "cpu",
    ) -> None:
        geometry, normalisation = manifest["geometry"], manifest["normalisation"]
        self.name = manifest["name"]
        self.pixels = int(geometry["detector_size"][0])
        self.pixel_mm = (
            geometry["detector_spacing_mm"][0]
            * geometry["source_to_axis_mm"]
            / geometry["source_to_detector_mm"]
        )
        self.device = device
        self._segmenter = segmenter.to(device).eval()
        self._student = student.to(device).eval()
        self._segmenter_factor = normalisation["segmenter_factor"]
        self._student_factor = normalisation["student_factor"]
        self._with_masks = len(normalisation["student_channels"]) == 2
        self._doubt = geometry.get("warning", "")

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: str = "cpu") -> OfficialModel:
        """The pair in a bundle of kind ``official``.

        Raises:
            WeightsError: the bundle lacks one of the two or a key of the manifest (it is named), or
                arguments or tensors do not fit.
        """
        from SSRKDLib.weights.official_import import architecture_class

        networks = [load_network(bundle, name, architecture_class) for name in NETWORKS]
        try:
            return cls(*networks, bundle.manifest, device)
        except KeyError as error:
            raise misfit(bundle.manifest, f"{MANIFEST} lacks {error.args[0]}") from error
        except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
            raise misfit(bundle.manifest, f"geometry or normalisation: {error}") from error

    @property
    def warning(self) -> str:
        """What belongs to every result of these weights: their physical extent, and its doubt."""
        width = self.pixels * self.pixel_mm
        seen = Message(
            "The weights '{name}' see {width:.0f} mm x {width:.0f} mm at the joint ({half:.0f} mm "
            "to each side), so shafts end there.",
            name=self.name,
            width=width,
            half=width / 2,
        )
        return joined((seen, self._doubt), " ") if self._doubt else seen

    def input(self, exposures: tuple[Exposure, Exposure], frame: np.ndarray) -> PublishedInput:
        """What the networks read of two radiographs in a frame, see
        :func:`~SSRKDLib.radiographs.published_input.published_input`."""
        return published_input(exposures, frame, self.pixels, self.pixel_mm)

    def segment(self, radiographs: PublishedInput) -> np.ndarray:
        """Where the segmenter sees bone, bool ``[2, n, n]``."""
        import torch

        with torch.inference_mode():
            # One at a time: at full size a radiograph takes a gigabyte.
            logits = [
                self._segmenter(self._tensor(image)[None, None])[0]
                for image in radiographs.network_values(self._segmenter_factor)
            ]
            return radiographs.cut((torch.stack(logits).argmax(dim=1) > 0).cpu().numpy())

    def encode(self, radiographs: PublishedInput, masks: np.ndarray) -> OfficialField:
        """Read two radiographs with their bone masks.

        Args:
            radiographs: from :meth:`input`.
            masks: bool ``[2, n, n]``, from :meth:`segment` or a user's hand.
        """
        import torch

        from SSRKDLib.networks.point_tables import PointTables

        values = radiographs.network_values(self._student_factor)
        channels = values[:, None]
        if self._with_masks:
            channels = np.stack([np.where(masks, values, values / 2), values], axis=1)
        with torch.inference_mode():
            features = self._student.encode(self._tensor(channels)[None])
            return OfficialField(
                PointTables(self._student, features), radiographs.cameras, self.device
            )

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self.device)


class OfficialKneeModel:
    """The published pair where a :class:`~SSRKDLib.models.knee_model.KneeModel` is expected.

    The published networks cannot find a knee: locating, and judging the result, are left to the
    project's own networks.

    Attributes:
        surface: the published student's own; fitted ones would be the project's segmenter's.
    """

    surface = "field"

    def __init__(self, official: OfficialModel, own: KneeModel, manifest: dict) -> None:
        self._official, self._own = official, own
        self.name, self.manifest, self.device = official.name, manifest, official.device

    @property
    def finder(self) -> KneeModel:
        """The model that finds the knee and judges the result."""
        return self._own

    def read(self, radiographs: FramedRadiographs) -> BoneField:
        """The published student's field: margins between classes, zero on the surfaces."""
        published = self._official.input(radiographs.pair, radiographs.frame)
        masks = self._official.segment(published)
        for slot, camera in enumerate(published.cameras):
            edited = radiographs.edited[camera.index]
            if edited is not None:
                union = edited.max(axis=0)
                exposure = radiographs.pair[camera.index]
                masks[slot] = framed_mask(union, exposure, camera, radiographs.frame) > 0.5
        field = self._official.encode(published, masks)
        low, high = field.box()
        return BoneField(field, None, low, high, field.margin, (self._official.warning,))


def bone_margins(logits: torch.Tensor) -> torch.Tensor:
    """Each bone's logit less the largest other: ``[N, 1 + bones]`` to ``[N, bones]``."""
    (first, second), (winner, _) = (part.unbind(dim=1) for part in logits.topk(2, dim=1))
    margins = logits - first[:, None]
    return margins.scatter(1, winner[:, None], (first - second)[:, None])[:, 1:]
