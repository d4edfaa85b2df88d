"""Which pixels lie inside the collimated field: from shutter tags, or from the image itself."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: A mask that leaves less than this share of the image is a mistake of the file, not a field.
_LEAST_SHARE = 0.05


def shutter_mask(dataset, shape: tuple[int, int]) -> np.ndarray | None:
    """The field left open by X-ray collimator and display shutter (PS3.3 C.8.7.3 and C.7.6.11).

    Args:
        dataset: pydicom dataset.
        shape: (rows, columns).

    Returns:
        bool ``[rows, columns]``, or None where the tags hide nothing or nearly everything.
    """
    open_field = np.ones(shape, dtype=bool)
    for prefix in ("Collimator", "Shutter"):
        kinds = dataset.get(f"{prefix}Shape") or ()
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            part = _shape_mask(dataset, prefix, str(kind).strip().upper(), shape)
            if part is not None:
                open_field &= part
    if open_field.all() or open_field.mean() < _LEAST_SHARE:
        return None
    return open_field


def padding_mask(dataset, stored: np.ndarray) -> np.ndarray | None:
    """Without the pixels that the file declares to be padding (C.7.5.1.1.2), as far as they reach
    in from the border: inside, a detector may count that value.

    Args:
        dataset: pydicom dataset.
        stored: stored values ``[rows, columns]``.

    Returns:
        bool ``[rows, columns]``, or None where the file declares no padding that the image has.
    """
    ends = [dataset.get(f"PixelPadding{end}") for end in ("Value", "RangeLimit")]
    if ends[0] is None:
        return None
    # A signed number may be written as an unsigned one, and the other way round.
    bits = 8 * max(1, int(dataset.get("BitsAllocated") or 16) // 8)
    low, high = sorted(
        int(end) % (1 << bits) for end in (ends[0], ends[0] if ends[1] is None else ends[1])
    )
    unsigned = np.rint(stored).astype(np.int64) % (1 << bits)
    labels, _ = ndimage.label((unsigned >= low) & (unsigned <= high))
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    outside = np.isin(labels, list(set(np.concatenate(edges).tolist()) - {0}))
    if not outside.any() or outside.mean() > 1 - _LEAST_SHARE:
        return None
    return ~outside


def _shape_mask(dataset, prefix: str, kind: str, shape: tuple[int, int]) -> np.ndarray | None:
    # Rows and columns of these tags count from 1 (C.7.6.11).
    rows = np.arange(1, shape[0] + 1)[:, None]
    columns = np.arange(1, shape[1] + 1)[None, :]
    try:
        if kind == "RECTANGULAR":
            return (
                (columns >= int(dataset[f"{prefix}LeftVerticalEdge"].value))
                & (columns <= int(dataset[f"{prefix}RightVerticalEdge"].value))
                & (rows >= int(dataset[f"{prefix}UpperHorizontalEdge"].value))
                & (rows <= int(dataset[f"{prefix}LowerHorizontalEdge"].value))
            )
        if kind == "CIRCULAR":
            row, column = (int(v) for v in dataset[f"CenterOfCircular{prefix}"].value)
            radius = int(dataset[f"RadiusOfCircular{prefix}"].value)
            return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        if kind == "POLYGONAL":
            vertices = [float(v) for v in dataset[f"VerticesOfThePolygonal{prefix}"].value]
            return _polygon(np.reshape(vertices, (-1, 2)), rows, columns)
    except (KeyError, TypeError, ValueError):
        return None  # an incomplete shutter hides nothing
    return None


def _polygon(vertices: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Even-odd rule; ``vertices [n, 2]`` are (row, column)."""
    inside = np.zeros(np.broadcast_shapes(rows.shape, columns.shape), dtype=bool)
    for (row_a, column_a), (row_b, column_b) in zip(vertices, np.roll(vertices, -1, axis=0)):
        if row_a == row_b:
            continue
        crossing = (rows < row_a) != (rows < row_b)
        at = column_a + (rows - row_a) * (column_b - column_a) / (row_b - row_a)
        inside ^= crossing & (columns < at)
    return inside


def blank_border(attenuation: np.ndarray, may_black_out_air: bool) -> np.ndarray:
    """Pixels outside the collimated field, estimated from the image.

    Outside the field all pixels share one extreme value and the region takes in a corner of the
    image; a bone or a piece of metal that saturates at the border hardly ever does. At the bright
    end (no radiation) that is enough. At the dark end plain air looks the same, so there the region
    must also end in a jump, as at a shutter that a workstation painted black.

    Args:
        attenuation: ``[rows, columns]``, bright where X-rays were stopped.
        may_black_out_air: whether the image was made for display.

    Returns:
        bool ``[rows, columns]``, True outside the field.
    """
    outside = np.zeros(attenuation.shape, dtype=bool)
    finite = attenuation[np.isfinite(attenuation)]
    if finite.size == 0:
        return outside
    low, high = float(finite.min()), float(finite.max())
    dark = _corner_region(attenuation == high)
    if dark.any():
        # Collimators end in a dim rim that is neither field nor exactly blank.
        rim = max(1, round(0.015 * min(attenuation.shape)))
        outside |= ndimage.maximum_filter(dark.view(np.uint8), 2 * rim + 1).view(bool)
    if may_black_out_air:
        black = _corner_region(attenuation == low)
        rim = ndimage.binary_dilation(black, iterations=2) & ~black
        span = float(np.subtract(*np.percentile(finite, (99, 1))))
        if rim.any() and float(np.median(attenuation[rim])) - low > 0.25 * span:
            outside |= black
    return outside if outside.mean() < 1 - _LEAST_SHARE else np.zeros_like(outside)


def _corner_region(mask: np.ndarray) -> np.ndarray:
    """The connected parts of a mask that take in a corner and more than a speck."""
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    if not any(mask[corner] for corner in corners):
        return np.zeros_like(mask)
    labels, _ = ndimage.label(mask)
    wanted = {int(labels[corner]) for corner in corners} - {0}
    wanted = [label for label in wanted if (labels == label).mean() > 1e-3]
    return np.isin(labels, wanted)
