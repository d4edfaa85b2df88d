"""Where what is said of a view came from: what may be doubted, and how much."""

from __future__ import annotations

from dataclasses import dataclass, fields

from SSRKDLib.core.errors import GeometryError

#: From sure to unsure: measured with a calibration (or simulated), stated by a file's tags, typed
#: by a person, assumed by the program.
ORIGINS = ("calibrated", "stated", "typed", "assumed")


@dataclass(frozen=True)
class Known:
    """One of :data:`ORIGINS` for each thing that a view says.

    Attributes:
        detector: the distance from source to detector.
        knee: the distance from source to knee, and what the beam was centred on.
        beam: which side of the knee the beam came from; where assumed, it may be the opposite one.
        orientation: which way round the image lies; where assumed, it may be mirrored.

    Raises:
        GeometryError: a word that is none of them.
    """

    detector: str = "calibrated"
    knee: str = "calibrated"
    beam: str = "calibrated"
    orientation: str = "calibrated"

    def __post_init__(self) -> None:
        for entry in fields(self):
            if getattr(self, entry.name) not in ORIGINS:
                raise GeometryError(
                    "'{found}' is not a way to know a view's {entry}.",
                    "Use one of {origins}.",
                    found=getattr(self, entry.name),
                    entry=entry.name,
                    origins=", ".join(ORIGINS),
                )


#: Of a view that a calibration measured.
CALIBRATED = Known()
