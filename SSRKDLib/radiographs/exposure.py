"""From a rig's image files (sources) to exposures that can be reconstructed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations

import numpy as np

from SSRKDLib.core.errors import GeometryError, ImageError
from SSRKDLib.core.messages import Message, about
from SSRKDLib.geometry.views import Rig, View, axes_angle
from SSRKDLib.radiographs.dicom_tags import DicomTags
from SSRKDLib.radiographs.intensity import VALUE_KINDS, to_line_integral
from SSRKDLib.radiographs.reading import Radiograph, read_radiograph


@dataclass(frozen=True)
class Source:
    """Where the pixels of a view come from, and what they mean.

    Attributes:
        image: path of the radiograph, or None.
        values: one of :data:`~SSRKDLib.radiographs.intensity.VALUE_KINDS`.
        air: detector count behind air for ``intensity`` values, or None when unknown.

    Raises:
        GeometryError: an unknown kind, or a count that no detector gives.
    """

    image: str | None = None
    values: str = "line_integral"
    air: float | None = None

    def __post_init__(self) -> None:
        if self.values not in VALUE_KINDS:
            raise GeometryError(
                "'{kind}' is not a kind of pixel values.",
                "Use one of {kinds}.",
                kind=self.values,
                kinds=", ".join(VALUE_KINDS),
            )
        # Counts are float32 further on; no detector counts that far.
        if self.air is not None and not 0 < self.air < 1e12:
            raise GeometryError(
                "An air count of {air:g} is impossible.",
                "Give the detector count behind air, or omit it.",
                air=self.air,
            )


@dataclass(frozen=True)
class RadiographRig(Rig):
    """A rig and the sources of its radiographs.

    Attributes:
        sources: one per view.
    """

    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "sources", tuple(self.sources))
        if len(self.sources) != len(self.views):
            raise ValueError(f"{len(self.sources)} sources for {len(self.views)} views")

    @property
    def images(self) -> list[str]:
        """Paths of the radiographs, of views that have one."""
        return [source.image for source in self.sources if source.image is not None]


def with_sources(rig: Rig, sources: Sequence[Source]) -> RadiographRig:
    """The rig with these sources, one per view."""
    known = {entry.name: getattr(rig, entry.name) for entry in fields(Rig)}
    return RadiographRig(**known, sources=tuple(sources))


def sources_of(rig: Rig) -> tuple[Source, ...]:
    """One source per view; those of a rig without radiographs name no image."""
    return rig.sources if isinstance(rig, RadiographRig) else (Source(),) * len(rig.views)


def read_exposures(
    rig: Rig,
    fields: Sequence[np.ndarray | None] | None = None,
    radiographs: Sequence[Radiograph] | None = None,
) -> tuple[list[Exposure], list[str]]:
    """Read every view's radiograph.

    Args:
        rig: its sources name the files.
        fields: per view, bool ``[rows, columns]``, the collimated field where it is known from
            elsewhere than the image file, or None.
        radiographs: one per view, where the files were read already.

    Returns:
        One exposure per view, and sentences for the report.

    Raises:
        ImageError: a file is absent, unreadable, blank, or not of the size that the rig states.
        GeometryError: a view has no image.
    """
    exposures, notes = [], []
    nothing = [None] * len(rig.views)
    for view, source, field, radiograph in zip(
        rig.views, sources_of(rig), fields or nothing, radiographs or nothing
    ):
        if source.image is None:
            raise GeometryError(
                "View '{view}' has no image.", 'Add its "image" to the rig.', view=view.name
            )
        if radiograph is None:
            radiograph = read_radiograph(source.image)
        if radiograph.size != view.size:
            raise ImageError(
                "'{image}' is {columns} x {rows} pixels, the rig says {view_columns} x "
                "{view_rows}.",
                "Correct the rig's size (and pixel_spacing), or name the right image.",
                image=source.image,
                columns=radiograph.size[0],
                rows=radiograph.size[1],
                view_columns=view.size[0],
                view_rows=view.size[1],
            )
        if field is not None and field.shape != radiograph.pixels.shape:
            raise ImageError(
                "The collimated field of '{image}' has another size than the image.",
                "Omit the field, or give one of the image's size.",
                image=source.image,
            )
        notes += beam_notes(view, source.image, radiograph.dicom)
        line_integral, valid, more = to_line_integral(
            radiograph.pixels,
            source.values,
            source.air,
            radiograph.valid if field is None else field,
        )
        notes += [about(view.name, note) for note in (*radiograph.notes, *more)]
        exposures.append(Exposure(view, line_integral, valid))
    return exposures, notes


def beam_notes(view: View, name: str, tags: DicomTags | None) -> list[str]:
    """Sentences where a view and its image's DICOM tags, if any, speak of different beams.

    Raises:
        GeometryError: a slot scanner's image is taken for a cone beam's.
    """
    if tags is None or bool(tags.slot_scanner) == bool(view.travel.any()):
        return []
    if tags.slot_scanner:
        raise GeometryError(
            "'{name}' comes from a slot scanner, whose heights are not magnified; view '{view}' is "
            "described as that of a cone beam.",
            "Let the geometry be read from the DICOM files, or use a rig of version 2 whose views "
            'have the type "slot".',
            name=name,
            view=view.name,
        )
    return [
        Message(
            "{view}: the rig says that a slot scanner took '{name}', its DICOM tags do not; the "
            "rig is believed.",
            view=view.name,
            name=name,
        )
    ]


def best_pair(exposures: list[Exposure]) -> tuple[Exposure, Exposure]:
    """The two exposures whose axes are most nearly perpendicular."""
    return max(
        combinations(exposures, 2),
        key=lambda pair: axes_angle(pair[0].view.axis, pair[1].view.axis),
    )


class Exposure:
    """One radiograph, ready to be re-imaged by virtual cameras.

    Args:
        view: where it was taken, rig coordinates, mm.
        line_integral: ``[rows, columns]`` float32.
        valid: ``[rows, columns]`` bool, where it shows anything.
    """

    def __init__(self, view: View, line_integral: np.ndarray, valid: np.ndarray) -> None:
        self.view, self.line_integral, self.valid = view, line_integral, valid
        self._reduced: dict[tuple[int, int], Exposure] = {(1, 1): self}

    def reduced(self, pixel_mm: float, joint: np.ndarray) -> Exposure:
        """This radiograph averaged over whole blocks of pixels until its pixels are about
        ``pixel_mm`` at the joint (rig coordinates), so that sampling it does not alias.

        Blocks are counted from the first row and column, and what fills no block at the other edge
        is cut. So a radiograph and its mirror image are averaged over other blocks, and the bones
        of a mirrored pair lie 0.1 to 0.2 mm from the mirrored bones (several mm where a shaft is
        cut). Weights are trained with it; only new ones can change it.
        """
        # A guess of the joint beside or behind the source must not lead to absurd blocks.
        depth = float(np.clip(self.view.depths(joint), 0.3, 1.0))
        blocks = tuple(max(1, int(round(pixel_mm / mm))) for mm in self.view.pixel_size(depth))
        if blocks not in self._reduced:
            self._reduced[blocks] = self._averaged(*blocks)
        return self._reduced[blocks]

    def _averaged(self, across: int, down: int) -> Exposure:
        rows, columns = self.valid.shape[0] // down, self.valid.shape[1] // across

        def mean(array: np.ndarray) -> np.ndarray:
            cut = array[: rows * down, : columns * across].astype(np.float32)
            return cut.reshape(rows, down, columns, across).mean((1, 3))

        share = mean(self.valid)
        image = mean(np.where(self.valid, self.line_integral, 0)) / np.maximum(share, 1e-6)
        view = replace(
            self.view,
            detector_origin=self.view.points_on_detector(
                np.array([(across - 1) / 2, (down - 1) / 2])
            ),
            pixel_spacing=(
                self.view.pixel_spacing[0] * across, self.view.pixel_spacing[1] * down
            ),
            size=(columns, rows),
        )  # fmt: skip
        valid = share > 0.5
        return Exposure(view, np.where(valid, image, 0), valid)
