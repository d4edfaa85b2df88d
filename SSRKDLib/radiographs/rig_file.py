"""The rig as a JSON file: read, validated with one-line errors, and written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path, PureWindowsPath

import numpy as np

from SSRKDLib.core.errors import GeometryError, InputError
from SSRKDLib.core.forms import misfit
from SSRKDLib.core.input_files import parse_json, read_json, read_text_bytes
from SSRKDLib.core.messages import Message, one_line
from SSRKDLib.core.output_file import resolved, write_file
from SSRKDLib.geometry.known import CALIBRATED, Known
from SSRKDLib.geometry.slot_view import SlotView
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.radiographs.exposure import RadiographRig, Source, sources_of, with_sources

#: Versions that are read. A file is of the first that can say what it says: 2 has slot views.
VERSIONS = (1, 2)

#: Most views, and longest name of one, characters.
_MOST_VIEWS, _LONGEST_NAME = 16, 200

_VIEW_KEYS = {
    "name", "source", "detector_origin", "column_direction", "row_direction", "pixel_spacing",
    "size", "known",
}  # fmt: skip
_SLOT_KEYS = {"type", "scan_direction"}
_TYPES = ("cone", "slot")
_KNOWN_KEYS = {entry.name for entry in fields(Known)}
_SOURCE_KEYS = {"image", "values", "air"}
_RIG_KEYS = {
    "version", "frame", "units", "laterality", "views", "patient_to_rig", "assumptions",
    "simultaneous",
}  # fmt: skip


def read_rig(path: str | os.PathLike) -> RadiographRig:
    """Read a rig; image paths come back absolute (they are relative to the file).

    Raises:
        GeometryError: one sentence of cause and remedy.
    """
    path = Path(path)
    if not os.path.lexists(path):
        raise GeometryError("There is no rig file '{path}'.", "Check the path.", path=path)
    data = read_json(path, GeometryError, "A rig is JSON as described in Docs/rig.md.")
    rig = rig_from_dict(data)
    return with_sources(
        rig,
        [
            replace(source, image=None if source.image is None else _beside(path, source.image))
            for source in rig.sources
        ],
    )


def _beside(path: Path, image: str) -> str:
    """The path of a rig's image. One on another computer is opened only where the user named that
    computer, with the rig: Windows would send it the user's name and a hash of the password."""
    text = image.replace("/", "\\")
    if text.startswith("\\\\") and not re.match(r"\\\\\?\\[A-Za-z]:", text):
        own = PureWindowsPath(os.path.abspath(path)).anchor
        if PureWindowsPath(text).anchor.lower() != own.lower():
            raise GeometryError(
                "The rig '{path}' names an image on another computer ({image}).",
                "Copy the image beside the rig, and name it there.",
                path=path,
                image=image,
            )
    return str(path.parent / image)


def read_written_rig(path: Path) -> RadiographRig | None:
    """The rig in a file that looks as :func:`write_rig` writes it, image paths as they are there;
    None for any other file, a rig that was edited by hand among them."""
    try:
        content = read_text_bytes(path)
        text, data = content.decode(), parse_json(content)
        return rig_from_dict(data) if text == json.dumps(data, indent=2) + "\n" else None
    except (ValueError, RecursionError, InputError):
        return None


def rig_from_dict(data: object) -> RadiographRig:
    """A rig from the parsed JSON (image paths as written)."""
    if not isinstance(data, dict):
        raise GeometryError("The rig is not a JSON object.", "See Docs/rig.md for its form.")
    version = data.get("version")
    if version not in VERSIONS or isinstance(version, bool):
        raise GeometryError(
            "The rig's version is {version!r}; this program reads 1 and 2.",
            'Write "version": 2, or update the program.',
            version=version,
        )
    if data.get("units", "mm") != "mm":
        raise GeometryError(
            "The rig's units are '{units}'.", "Convert all lengths to mm.", units=data["units"]
        )
    views = data.get("views")
    if not isinstance(views, list):
        raise GeometryError("The rig has no list of views.", 'Add "views": [ ... ].')
    if len(views) > _MOST_VIEWS:
        raise GeometryError(
            "The rig has {count} views; at most {most_views} are read.",
            "Leave some out.",
            count=len(views),
            most_views=_MOST_VIEWS,
        )
    assumptions = data.get("assumptions", [])
    if not isinstance(assumptions, list) or not all(isinstance(a, str) for a in assumptions):
        raise GeometryError(
            "The rig's assumptions are not a list of sentences.", "Correct or remove them."
        )
    simultaneous = data.get("simultaneous", False)
    if not isinstance(simultaneous, bool):
        raise GeometryError(
            "The rig's simultaneous is {simultaneous!r}.",
            "Write true where the views were exposed at one moment, else false.",
            simultaneous=simultaneous,
        )
    notes = _notes_on_unknown(data, _RIG_KEYS, "the rig")
    for index, view in enumerate(views):
        if isinstance(view, dict):
            known = _VIEW_KEYS | _SOURCE_KEYS | (_SLOT_KEYS if version > 1 else set())
            if not known >= _SLOT_KEYS and "type" in view:
                raise GeometryError(
                    "View {index} of the rig has a type, which version 1 does not know.",
                    'Write "version": 2, or leave the type out where the beam is a cone.',
                    index=index,
                )
            notes += _notes_on_unknown(view, known, f"view {index} of the rig")
    return RadiographRig(
        views=tuple(view_from_dict(view, index) for index, view in enumerate(views)),
        sources=tuple(source_from_dict(view, index) for index, view in enumerate(views)),
        frame=data.get("frame", "LPS"),
        laterality=data.get("laterality"),
        patient_to_rig=data.get("patient_to_rig"),
        assumptions=tuple(map(one_line, (*assumptions, *notes))),
        simultaneous=simultaneous,
    )


def view_from_dict(data: object, index: int = 0) -> View:
    """A view from parsed JSON (raises GeometryError; ``index`` is for its message)."""
    if not isinstance(data, dict):
        raise GeometryError(
            "View {index} of the rig is not a JSON object.", "See Docs/rig.md.", index=index
        )
    name = _name(data, index)
    missing = sorted(_VIEW_KEYS - {"name", "known"} - set(data))
    if missing:
        raise GeometryError(
            "View '{name}' lacks {missing}.",
            "Add what is missing.",
            name=name,
            missing=", ".join(missing),
        )
    with _numbers(name):
        spacing = tuple(float(s) for s in data["pixel_spacing"])
        size = tuple(int(s) for s in data["size"])
        if any(int(s) != s for s in data["size"]):
            raise ValueError("size is not whole numbers")
        vectors = {
            key: _vector(data[key])
            for key in ("source", "detector_origin", "column_direction", "row_direction")
        }
        scan = data.get("scan_direction")
        scan = None if scan is None else _vector(scan)
    known = _known(data.get("known", {}), name)
    kind = data.get("type", "cone")
    if kind not in _TYPES:
        raise GeometryError(
            "View '{name}' has the type {kind!r}.",
            "Write one of {types}.",
            name=name,
            kind=kind,
            types=", ".join(_TYPES),
        )
    plain = {"name": name, "pixel_spacing": spacing, "size": size, "known": known, **vectors}
    return SlotView(**plain, scan_direction=scan) if kind == "slot" else View(**plain)


def _known(data: object, name: str) -> Known:
    if not isinstance(data, dict) or not set(data) <= _KNOWN_KEYS:
        raise GeometryError(
            "View '{name}': known is {data!r}.",
            "Say for any of {known_keys} how it is known; see Docs/rig.md.",
            name=name,
            data=data,
            known_keys=", ".join(sorted(_KNOWN_KEYS)),
        )
    try:
        return Known(**data)
    except GeometryError as error:
        raise GeometryError(
            Message("View '{name}': {cause}", name=name, cause=error.cause), error.remedy
        ) from error


def source_from_dict(data: dict, index: int = 0) -> Source:
    """The source of a view's radiograph from the JSON of the view (raises GeometryError)."""
    name = _name(data, index)
    with _numbers(name):
        air = None if data.get("air") is None else float(data["air"])
    image = data.get("image")
    if image is not None and misfit(str(image), str) is not None:
        raise GeometryError(
            "View '{name}' names an image as no file can be called ({image}).",
            "Write the name of its file.",
            name=name,
            image=ascii(image)[:40],
        )
    try:
        return Source(
            None if image is None else str(image), str(data.get("values", "line_integral")), air
        )
    except GeometryError as error:
        raise GeometryError(
            Message("View '{name}': {cause}", name=name, cause=error.cause), error.remedy
        ) from error


def _name(data: dict, index: int) -> str:
    name = data.get("name", f"view {index}")
    if not isinstance(name, (str, int, float)) or len(str(name)) > _LONGEST_NAME:
        raise GeometryError(
            "The name of view {index} of the rig is not {longest_name} characters or less.",
            "Give it a short name.",
            index=index,
            longest_name=_LONGEST_NAME,
        )
    return one_line(str(name))


def _vector(values: list) -> np.ndarray:
    if any(isinstance(value, bool) for value in values):
        raise ValueError("true or false")
    return np.asarray(values, dtype=np.float64)


@contextmanager
def _numbers(name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise GeometryError(
            "View '{name}' contains something that is not a number ({error}).",
            "Check its vectors, pixel_spacing, size and air.",
            name=name,
            error=error,
        ) from error


def _notes_on_unknown(data: dict, known: set[str], what: str) -> tuple[str, ...]:
    unknown = sorted(set(data) - known)
    return (
        (
            Message(
                "Ignored unknown entries of {what}: {unknown}.",
                what=what,
                unknown=", ".join(unknown),
            ),
        )
        if unknown
        else ()
    )


def rig_to_dict(rig: Rig) -> dict:
    """The rig as plain JSON values (image paths as they are)."""
    slot = any(isinstance(view, SlotView) for view in rig.views)
    data: dict = {
        "version": VERSIONS[1] if slot else VERSIONS[0],
        "frame": rig.frame,
        "units": "mm",
        "laterality": rig.laterality,
        "views": [view_to_dict(*both) for both in zip(rig.views, sources_of(rig))],
    }
    if rig.patient_to_rig is not None:
        data["patient_to_rig"] = rig.patient_to_rig.tolist()
    if rig.simultaneous:
        data["simultaneous"] = True
    if rig.assumptions:
        data["assumptions"] = list(rig.assumptions)
    return data


def described(rig: Rig) -> dict:
    """:func:`rig_to_dict` for reports: without the images' paths and the assumptions."""
    sources = [replace(source, image=None) for source in sources_of(rig)]
    return rig_to_dict(with_sources(replace(rig, assumptions=()), sources))


def view_to_dict(view: View, source: Source | None = None) -> dict:
    """A view and the source of its radiograph as plain JSON values (image path as it is)."""
    source = source or Source()
    data = {
        "name": view.name,
        "image": source.image,
        "values": source.values,
        "source": view.source.tolist(),
        "detector_origin": view.detector_origin.tolist(),
        "column_direction": view.column_direction.tolist(),
        "row_direction": view.row_direction.tolist(),
        "pixel_spacing": list(view.pixel_spacing),
        "size": list(view.size),
    }
    if isinstance(view, SlotView):
        data["type"] = "slot"
        if not np.array_equal(np.abs(view.scan_direction), np.abs(view.row_direction)):
            data["scan_direction"] = view.scan_direction.tolist()
    if source.air is not None:
        data["air"] = source.air
    if view.known != CALIBRATED:
        data["known"] = asdict(view.known)
    return {key: value for key, value in data.items() if value is not None}


def write_rig(rig: Rig, path: str | os.PathLike) -> None:
    """Write a rig; a link is followed. Image paths are stored relative to the file, but those on
    another drive, and all where the link lies in another folder: the file has two places then.

    Raises:
        OutputError: the file cannot be written; an earlier one is left alone then.
    """
    path = Path(path)
    folder = resolved(path.parent)
    one_place = resolved(path).parent == folder
    sources = []
    for source in sources_of(rig):
        image = source.image
        if image is not None and os.path.isabs(image) and one_place:
            with suppress(ValueError):  # on another drive, which Windows has no way to from here
                image = os.path.relpath(image, folder)
        sources.append(replace(source, image=image))
    text = json.dumps(rig_to_dict(with_sources(rig, sources)), indent=2, allow_nan=False)
    write_file(path, text + "\n")
