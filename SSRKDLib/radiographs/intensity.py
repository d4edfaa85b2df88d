"""From pixel values to line integrals, and from line integrals to what the networks see.

NumPy and SciPy only: this runs inside Slicer, and for every sample during training.

Radiographs are ``[row, column]``. A line integral is ``ln(I0 / I)``: bright bone, about 0 in air.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.messages import Message
from SSRKDLib.radiographs.collimation import blank_border
from SSRKDLib.radiographs.normalisation import _percentiles

if TYPE_CHECKING:
    from SSRKDLib.radiographs.dicom_tags import DicomTags


#: What pixel values can mean: natural log of I0 / I, detector counts, or values for a screen with
#: bright or with dark bone.
VALUE_KINDS = ("line_integral", "intensity", "display", "display_inverted")

#: Line integral given to the brightest 0.5 % of a presentation image: 0.02 / mm through 200 mm.
DISPLAY_RANGE = 4.0

#: Borders and middle of a picture differ clearly by this share of its range.
_CLEAR_SHARE = 0.25

#: No detector has a larger range than this: e^12 is 160 000 to 1.
_SATURATED = 12.0


def to_line_integral(
    pixels: np.ndarray,
    values: str,
    air: float | None = None,
    valid: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Pixel values as line integrals.

    Args:
        pixels: ``[rows, columns]``.
        values: one of :data:`VALUE_KINDS`. ``display`` kinds give a pseudo line integral:
            monotone in the true one, of plausible range (0 to :data:`DISPLAY_RANGE`).
        air: count behind air, for ``intensity``; default: 99.9th percentile of the valid pixels.
        valid: ``[rows, columns]`` bool, the field that the file declares, if it does.

    Returns:
        float32 line integral ``[rows, columns]`` (0 where it is not a number), bool mask
        ``[rows, columns]`` (False outside the collimated field) and sentences for the report.

    Raises:
        ImageError: unknown kind, an air count that is not positive, or nothing usable.
    """
    if values not in VALUE_KINDS:
        raise ImageError(
            "'{values}' is not a kind of pixel values.",
            "Use one of {kinds}.",
            values=values,
            kinds=", ".join(VALUE_KINDS),
        )
    pixels = np.asarray(pixels, dtype=np.float32)
    finite = np.isfinite(pixels)
    attenuation = pixels if values in ("line_integral", "display") else -pixels
    usable = finite & ~blank_border(attenuation, may_black_out_air=values.startswith("display"))
    if valid is not None:
        usable &= valid
    inside = attenuation[usable]
    if inside.size == 0 or inside.min() == inside.max():
        raise ImageError(
            "The radiograph shows nothing inside its collimated field.",
            "Choose another image, or crop it to the field.",
        )
    notes: tuple[str, ...] = ()
    if not usable.all():
        share = 100 * (1 - usable.mean())
        notes += (
            Message("{share:.0f} % of the image lies outside the collimated field.", share=share),
        )
    if values == "intensity":
        result, more = _from_counts(np.where(finite, pixels, 0), usable, air)
        notes += more
    elif values == "line_integral":
        result = pixels
    else:
        low, high = _percentiles(inside, 0.5, 99.5)
        result = (attenuation - low) * np.float32(DISPLAY_RANGE / max(high - low, 1e-12))
        notes += ("Presentation values: the scale of the line integrals is a guess.",)
    return np.where(finite, result, 0).astype(np.float32), usable, notes


def _from_counts(
    counts: np.ndarray, usable: np.ndarray, air: float | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Beer-Lambert; counts of zero and less become the deepest value that the image can show."""
    inside = counts[usable]
    if air is None:
        air = float(np.percentile(inside, 99.9))
    if not (np.isfinite(air) and air > 0):
        raise ImageError(
            "An air count of {air:g} is impossible for detector counts.",
            "Give a positive air count, or another kind of pixel values.",
            air=air,
        )
    positive = inside[inside > 0]
    if positive.size == 0:
        raise ImageError(
            "The radiograph contains no positive detector counts.",
            "Choose another kind of pixel values, or export the image again.",
        )
    # Half of the smallest count: where an 8-bit image has 0, less than 1 came through.
    floor = max(0.5 * float(positive.min()), air * np.exp(-_SATURATED))
    starved = float((inside <= 0).mean())
    notes: tuple[str, ...] = ()
    if starved > 1e-3:
        notes = (
            Message(
                "{starved:.1f} % of the pixels have no counts; they are saturated.",
                starved=100 * starved,
            ),
        )
    return np.log(np.float32(air) / np.maximum(counts, np.float32(floor))), notes


def values_from_dicom(tags: DicomTags) -> tuple[str | None, tuple[str, ...]]:
    """The kind of pixel values of a DICOM radiograph, as :func:`read_radiograph` returns them.

    The sign (0028,1041) of the pixel intensity relationship decides whether bone is bright (-1) or
    dark (+1) in the stored values (PS3.3 C.8.11.3.1.2). Where it is missing, the photometric
    interpretation and the VOI LUT do, bone being white on the screen; in angiography (XA) stored
    values grow with the beam. Where these are silent or contradict each other the picture itself
    decides (``tags.dark_bone``, of files whose pixels were read). A linear relationship counts as
    ``intensity`` unless the image was processed for presentation; a logarithmic one has an unknown
    unit and is brought to scale like ``display``.

    Returns:
        The kind, or None where neither file nor picture state it, and sentences on what was
        assumed.
    """
    bright_bone, doubt, notes = _stated_polarity(tags)
    if doubt and tags.dark_bone is not None:
        bright_bone = not tags.dark_bone
        border, shade = ("bright", "dark") if tags.dark_bone else ("dark", "bright")
        notes = (
            Message(
                "{doubt}; the picture's borders are {border}, so bone is taken as {shade}.",
                doubt=doubt,
                border=border,
                shade=shade,
            ),
        )
    elif bright_bone is None:
        return None, (f"{doubt}.",)
    if tags.relationship == "LIN" and tags.intent != "FOR PRESENTATION" and not bright_bone:
        return "intensity", notes
    return ("display" if bright_bone else "display_inverted"), notes


def needs_picture(tags: DicomTags) -> bool:
    """Whether the tags do not tell, or contradict each other, where bone is bright."""
    return bool(_stated_polarity(tags)[1])


def _stated_polarity(tags: DicomTags) -> tuple[bool | None, str, tuple[str, ...]]:
    """Whether bone is bright by what the file states; why that is in doubt, or ""; and sentences
    on what was assumed."""
    shown, doubt, notes = _bright_on_screen(tags), "", ()
    if tags.relationship_sign is not None:
        bright = tags.relationship_sign < 0
        if tags.intent == "FOR PRESENTATION" and shown is not None and shown != bright:
            doubt = "Sign and display of the pixel values contradict each other"
    elif tags.modality == "XA":
        bright = False
        notes = ("No sign of the pixel values; as usual in XA, bone is taken as dark.",)
    elif shown is not None:
        bright, shade = shown, "bright" if shown else "dark"
        source = tags.photometric + (" with a falling VOI LUT" if tags.falling_voi else "")
        notes = (
            Message(
                "No sign of the pixel values; from {source}, bone is {shade}.",
                source=source,
                shade=shade,
            ),
        )
    else:
        return None, "The file does not state whether bone is bright or dark", ()
    return bright != tags.negative_slope, doubt, notes


def _bright_on_screen(tags: DicomTags) -> bool | None:
    """Whether what is shown white is stored bright (C.7.6.3.1.2, C.11.2, C.11.6); None where the
    file does not state it, or says both."""
    if tags.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    inverse = tags.photometric == "MONOCHROME1"
    if tags.lut_shape in ("IDENTITY", "INVERSE") and inverse != (tags.lut_shape == "INVERSE"):
        return None
    return inverse == tags.falling_voi


def bone_is_dark(pixels: np.ndarray, valid: np.ndarray | None = None) -> bool | None:
    """Whether air at the picture's borders is clearly brighter than its middle, where bone is.

    Args:
        pixels: ``[rows, columns]``.
        valid: ``[rows, columns]`` bool, the field that the file declares, if it does.

    Returns:
        None where borders and middle differ too little to tell.
    """
    pixels = np.asarray(pixels, np.float64)
    used = np.isfinite(pixels) & ~blank_border(pixels, False) & ~blank_border(-pixels, False)
    used = used if valid is None else used & valid
    rows, columns = (np.flatnonzero(used.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    part, used = pixels[window], used[window]
    height, width = part.shape
    centre = np.zeros(part.shape, bool)
    centre[height // 4 : height - height // 4, width // 3 : width - width // 3] = True
    # The leg leaves the picture above and below; air is beside it, behind the dim rim of a field.
    border = np.zeros(part.shape, bool)
    for columns in (np.s_[width // 12 : width // 4], np.s_[width - width // 4 : -(width // 12)]):
        border[:, columns] = True
    if not (used & border).any() or not (used & centre).any():
        return None
    low, high = _percentiles(part[used], 0.5, 99.5)
    difference = np.median(part[used & border]) - np.median(part[used & centre])
    return None if abs(difference) < _CLEAR_SHARE * (high - low) else bool(difference > 0)


def values_as_shown(tags: DicomTags) -> tuple[str | None, tuple[str, ...]]:
    """:func:`values_from_dicom` for pixels as ITK, and so Slicer, loads them.

    ITK turns the values of MONOCHROME1 images over, so that bright and dark are as on a screen.
    """
    kind, notes = values_from_dicom(tags)
    if tags.photometric != "MONOCHROME1" or kind is None:
        return kind, notes
    return ("display_inverted" if kind == "display" else "display"), notes


def guess_values(pixels: np.ndarray) -> tuple[str, str]:
    """The kind of pixel values of an image that does not state it.

    Fractions between air (0) and the deepest line integral are line integrals. In any other image
    the border of the picture, where air is, shows whether air, and so bone, is bright or dark.

    Args:
        pixels: ``[rows, columns]``.

    Returns:
        One of :data:`VALUE_KINDS`, and a sentence for the user.
    """
    pixels = np.asarray(pixels)
    finite = pixels[np.isfinite(pixels)].astype(np.float64)
    if finite.size == 0:
        return "display", "The image contains no numbers."
    low, high = _percentiles(finite, 0.5, 99.5)
    fractions = not np.array_equal(finite, np.round(finite))
    if fractions and low >= -1 and 0.5 <= high <= _SATURATED:
        return "line_integral", "Pixel values are taken as line integrals (small fractions)."
    rows, columns = pixels.shape
    border = np.ones(pixels.shape, dtype=bool)
    border[rows // 10 : rows - rows // 10, columns // 10 : columns - columns // 10] = False
    centre = np.zeros(pixels.shape, dtype=bool)
    centre[rows // 4 : rows - rows // 4, columns // 3 : columns - columns // 3] = True
    dark_bone = np.nanmedian(pixels[border]) > np.nanmedian(pixels[centre])
    if dark_bone:
        return "display_inverted", "Bone is taken to be dark in the image (its borders are bright)."
    return "display", "Bone is taken to be bright in the image (its borders are dark)."
