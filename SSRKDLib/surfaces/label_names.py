"""Names of the segments in a label map: in the file, or in one beside it."""

from __future__ import annotations

import csv
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from SSRKDLib.core.bone_names import NamedSurface
from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.input_files import read_json, read_text_bytes
from SSRKDLib.images.formats import GZIP

#: No map has a label beyond.
_LARGEST_LABEL = 1 << 32

#: Where names stand in a NIfTI file, bytes from its start.
_START = 65536


def named_segments(
    header: Mapping[str, str], path: Path, layers: int
) -> list[tuple[NamedSurface, int, int]]:
    """Name with terminology, layer and value of the segments in a ``.seg.nrrd``.

    3D Slicer up to 4.11 stored a segment per layer, without writing which, its voxels 1.
    """
    entries = []
    found = (re.fullmatch(r"Segment(\d{1,9})_Name", key) for key in header)
    numbers = sorted(int(match[1]) for match in found if match)
    for number in numbers:
        name = header[f"Segment{number}_Name"]
        tags, value, layer = (f"Segment{number}_{what}" for what in ("Tags", "LabelValue", "Layer"))
        codes = (header[tags],) if tags in header else ()
        try:
            place = (
                int(header[layer]) if layer in header else number if layers > 1 else 0,
                int(header[value]) if value in header else 1,
            )
        except ValueError as error:
            raise MeshError(
                "{path}: layer or label value of the segment '{name}' is not a number.",
                "Export the segmentation again.",
                path=path.name,
                name=name,
            ) from error
        entries.append((NamedSurface(name, codes), *place))
    if len({(layer, value) for _, layer, value in entries}) < len(entries):
        raise MeshError(
            "{path} does not state which voxels belong to which segment.",
            "Open it in 3D Slicer and export the segmentation again.",
            path=path.name,
        )
    # Two segments of one name would hide each other.
    counts = Counter(named.name for named, _, _ in entries)
    return [
        (named if counts[named.name] == 1 else named._replace(name=f"{named.name} #{n}"), *place)
        for n, (named, *place) in enumerate(entries)
    ]


def label_names(path: Path, layers: Sequence[np.ndarray]) -> dict[int, str]:
    """Names of the values of a label map (file and content), from the file itself or one beside it;
    {} if none.

    Looked for: TotalSegmentator's list in the header of a NIfTI file; ``NAME.json`` or nnU-Net's
    ``dataset.json`` with value and name in either order; ``NAME.csv`` or ``labels.csv`` with a
    column of values and one of names; ``NAME.ctbl``, ``NAME.txt`` or ``NAME.label`` as colour
    tables of 3D Slicer or ITK-SNAP. JSON files about other things, such as those that dcm2niix
    writes, are ignored: one counts where it, or its ``labels``, maps values to names and nothing
    else, and the label map has one of these values.
    """
    stem = re.sub(r"(\.seg)?(\.nii\.gz|\.\w+)$", "", path.name, flags=re.IGNORECASE)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        names = _names_in_nifti(path)
        if names:
            return names
    for name in (f"{stem}.json", "dataset.json"):
        names = _names_in_json(path.parent / name) if (path.parent / name).is_file() else {}
        if names and _has_value(layers, names):
            return names
    for name in (f"{stem}.csv", "labels.csv"):
        names = _names_in_csv(path.parent / name) if (path.parent / name).is_file() else {}
        if names and _has_value(layers, names):
            return names
    for suffix in (".ctbl", ".label", ".txt"):
        if (path.parent / (stem + suffix)).is_file():
            return _names_in_table(path.parent / (stem + suffix))
    return {}


def _names_in_nifti(path: Path) -> dict[int, str]:
    """Labels that TotalSegmentator writes as XML between a NIfTI's header and its voxels."""
    with path.open("rb") as file:
        start = file.read(_START)
    if start.startswith(GZIP):
        try:  # what follows the stream, or its checksum, is no matter of names
            start = zlib.decompressobj(wbits=31).decompress(start, _START)
        except zlib.error as error:
            raise MeshError(
                "{path} is damaged ({error}).", "Export it again.", path=path.name, error=error
            ) from error
    found = re.findall(rb'<Label Key="(\d{1,10})"[^>]*>(?:<!\[CDATA\[)?([^<\]]+)', start)
    return {int(value): name.decode("utf-8", "replace").strip() for value, name in found}


def _names_in_json(path: Path) -> dict[int, str]:
    data = read_json(path, MeshError, "Correct or remove it.")
    labels = data.get("labels", data) if isinstance(data, dict) else None
    names = {}
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if key.isdecimal() and len(key) < 20 and isinstance(value, str):
            names[int(key)] = value
        elif type(value) is int:
            names[value] = key
        elif labels is data:
            return {}
    return {value: name for value, name in names.items() if 0 < value < _LARGEST_LABEL}


def _has_value(layers: Sequence[np.ndarray], values: Iterable[int]) -> bool:
    """Whether the map has one of the values; a layer per value has them by its number."""
    if len(layers) > 1:
        return any(0 <= value <= len(layers) for value in values)
    return bool(np.isin(layers[0], list(values)).any())


#: Heads of the columns of values and of names, lower-case letters only.
_VALUE_HEADS = ("labelvalue", "value", "label", "labelid", "index", "id", "intensity")
_NAME_HEADS = ("name", "labelname", "structure", "segment", "segmentname", "region", "label")


def _names_in_csv(path: Path) -> dict[int, str]:
    """Values and names of a table with a head, such as SlicerMONAIAuto3DSeg's ``labels.csv``."""
    text = read_text_bytes(path, MeshError).decode("utf-8-sig", "replace")
    head = (text.splitlines() or [""])[0]
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=max(",;\t", key=head.count)))
    except csv.Error as error:
        raise MeshError(
            "{path} cannot be read as a table ({reason}).",
            "Correct or remove it.",
            path=path.name,
            reason=error,
        ) from error
    heads = ["".join(filter(str.isalpha, cell.lower())) for cell in rows[0]] if rows else []
    value = next((heads.index(one) for one in _VALUE_HEADS if one in heads), None)
    name = next(
        (heads.index(one) for one in _NAME_HEADS if one in heads and heads.index(one) != value),
        None,
    )
    if value is None or name is None:
        return {}
    cells = ((row[value].strip(), row[name].strip()) for row in rows if len(row) > max(value, name))
    return {int(v): n for v, n in cells if v.isdecimal() and len(v) < 20 and int(v) > 0 and n}


def _names_in_table(path: Path) -> dict[int, str]:
    """Rows ``value name r g b a`` (3D Slicer) or ``value r g b a v m "name"`` (ITK-SNAP)."""
    names = {}
    for line in read_text_bytes(path, MeshError).decode("utf-8", "replace").splitlines():
        slicer = re.match(r"\s*(\d{1,10})\s+([A-Za-z]\S*)\s+\d", line)
        snap = re.match(r"\s*(\d{1,10})\s+\d.*\"([^\"]+)\"\s*$", line)
        match = slicer or snap
        if match and int(match.group(1)) > 0:
            names[int(match.group(1))] = match.group(2)
    return names
