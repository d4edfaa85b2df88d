"""A rig from calibration files: MayaCam 2 (K, R, t) of XMALab and Autoscoper, and MayaCam 1."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.input_files import read_text_bytes
from SSRKDLib.core.messages import Message
from SSRKDLib.geometry.views import View
from SSRKDLib.radiographs.exposure import RadiographRig, Source
from SSRKDLib.radiographs.reading import read_radiograph

#: The detector is put this many times as far from the source as the middle of the common field.
_MAGNIFICATION = 1.25

#: Widths that the field of radiographs of a knee has, mm.
_FIELD_MM = (80.0, 900.0)

#: How far from an image's centre the middle of the common field lies without a word, of its side.
_OFF_CENTRE = 0.07

#: Count behind air in 8-bit images of detector counts: the detector is set so that air is white.
EIGHT_BIT_AIR = 255.0

#: Titles of the blocks of MayaCam 2, and how many numbers each has.
_NEEDED = {"image size": 2, "camera matrix": 9, "rotation": 9, "translation": 3}

#: Of the numbers in a calibration, pixels and lengths in any unit; of its file, bytes.
_LARGEST, _LARGEST_FILE = 1e9, 64 << 10

_REMEDY = "It must contain 'image size', 'camera matrix', 'rotation' and 'translation' blocks."


@dataclass(frozen=True)
class Calibration:
    """A pinhole camera: ``(column, row, 1) ~ matrix @ (rotation @ x + translation)``.

    Attributes:
        size: (columns, rows).
        matrix: 3x3, pixels.
        rotation: 3x3, world to camera.
        translation: ``(3,)`` mm.
    """

    size: tuple[int, int]
    matrix: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def read_calibration(path: str | os.PathLike) -> Calibration:
    """Read a calibration file.

    MayaCam 2: a title line above each block of numbers, separated by commas, or by semicolons, tabs
    or spaces where numbers have decimal commas. MayaCam 1: five lines of three numbers, in
    centimetres. Any of the encodings that editors save text in.

    Raises:
        GeometryError: absent, damaged, skewed or mirrored.
    """
    path = Path(path)
    text = _decoded(read_text_bytes(path, GeometryError, _LARGEST_FILE)).replace(";", " ")
    # Commas between numbers; or in them, as spreadsheets write it where they are decimal marks.
    for separated in (text.replace(",", " "), re.sub(r",(?=\s)", " ", text).replace(",", ".")):
        blocks, lines = _blocks(separated)
        if [len(line) for line in lines] == [3] * 5 and set(blocks) == {""}:
            return _mayacam_1(path, np.array(lines))
        lacking = [name for name, count in _NEEDED.items() if len(blocks.get(name, ())) != count]
        if not lacking:
            break
    lacking += [name for name in _NEEDED if not _are_possible(blocks.get(name, ()))]
    lacking += ["image size"] if any(side % 1 for side in blocks.get("image size", ())) else []
    if lacking:
        raise GeometryError(
            "The calibration '{path}' has no usable '{entry}'.",
            _REMEDY,
            path=path,
            entry=lacking[0],
        )
    matrix = np.reshape(blocks["camera matrix"], (3, 3))
    rotation = np.reshape(blocks["rotation"], (3, 3))
    _check(path, matrix, rotation)
    columns, rows = map(int, blocks["image size"])
    sides = np.array([columns, rows])
    focal, principal = np.abs([matrix[0, 0], matrix[1, 1]]), matrix[:2, 2] / matrix[2, 2]
    inside = (principal > 0.02 * sides).all() and (principal < 0.98 * sides).all()
    if focal.max() > 1.1 * focal.min() or not inside:
        raise GeometryError(
            "The camera matrix in '{path}' is not that of an X-ray set-up: focal lengths "
            "{focal}, principal point {principal} of {columns:g} x {rows:g} pixels.",
            "Calibrate again, or check the file.",
            path=path,
            focal=f"{focal[0]:g} and {focal[1]:g}",
            principal=f"{principal[0]:g}, {principal[1]:g}",
            columns=columns,
            rows=rows,
        )
    return Calibration(
        size=(columns, rows),
        matrix=matrix / matrix[2, 2],
        rotation=rotation,
        translation=np.array(blocks["translation"]),
    )


def _are_possible(numbers: Sequence[float] | np.ndarray) -> bool:
    return bool((np.abs(numbers) <= _LARGEST).all())


def _blocks(text: str) -> tuple[dict[str, list[float]], list[list[float]]]:
    """Numbers by the title above them, and by line."""
    blocks: dict[str, list[float]] = {}
    lines, title = [], ""
    for line in text.splitlines():
        words = line.split()
        try:
            numbers = [float(word.replace("_", "?")) for word in words]
        except ValueError:
            title = " ".join(words).lower()
        else:
            blocks.setdefault(title, []).extend(numbers)
            lines += [numbers] if numbers else []
    return blocks, lines


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _mayacam_1(path: Path, lines: np.ndarray) -> Calibration:
    """Position in cm; degrees about the camera's own x, y and z, turned in the order z, y, x; film
    plane (follows from the others); principal point, counted from 1 and from the lower edge, and
    minus the focal length, pixels; scale, columns, rows (0: 1024). The camera looks along its -z,
    +y is up (autoscoper.readthedocs.io, MayaCam 1.0)."""
    position, degrees, _, (u0, v0, focal), (_, *size) = lines
    if not _are_possible(lines) or not focal < -1 or any(side < 0 or side % 1 for side in size):
        raise GeometryError(
            "The calibration '{path}' is not a MayaCam 1.0 file.",
            "Export MayaCam 2.0 from XMALab.",
            path=path,
        )
    columns, rows = (int(number) or 1024 for number in size)
    to_world = Rotation.from_euler("ZYX", degrees[::-1], degrees=True).as_matrix()
    rotation = np.diag([1.0, -1.0, -1.0]) @ to_world.T
    matrix = np.array([[-focal, 0, u0 - 1], [0, -focal, rows - v0], [0, 0, 1]])
    return Calibration((columns, rows), matrix, rotation, -rotation @ (10.0 * position))


def _check(path: Path, matrix: np.ndarray, rotation: np.ndarray) -> None:
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
        raise GeometryError(
            "The rotation in '{path}' is not a rotation.",
            "Calibrate again, or check the file.",
            path=path,
        )
    triangular = np.allclose(matrix[[1, 2, 2], [0, 0, 1]], 0, atol=1e-9) and matrix[2, 2] > 1e-6
    if not triangular or min(abs(matrix[0, 0]), abs(matrix[1, 1])) < 1:
        raise GeometryError("The camera matrix in '{path}' is not one.", _REMEDY, path=path)
    if abs(matrix[0, 1]) > 1e-3 * abs(matrix[0, 0]):
        raise GeometryError(
            "The camera matrix in '{path}' is skewed by {matrix:g} pixels.",
            "Calibrate with square sensor axes (zero skew).",
            path=path,
            matrix=matrix[0, 1],
        )


def rig_from_calibration(
    pairs: Sequence[tuple[str | os.PathLike, str | os.PathLike]],
    *,
    laterality: str | None = None,
    values: Sequence[str | None] | None = None,
    air: Sequence[float | None] | None = None,
) -> RadiographRig:
    """A rig in the calibration's own (``lab``) frame.

    Principal points count from the centre of the first pixel, like everything in this project. A
    camera matrix fixes ratios only, so the detector may stand at any distance; it is put at 1.25
    times the distance of the middle of the common field, a magnification that knees are seen
    with. No projection depends on that choice, nor does any length in the world frame.

    Args:
        pairs: (calibration file, image file) per view.
        laterality: "L", "R" or None.
        values: per view the kind of pixel values, or None: what the image states, else
            ``intensity``.
        air: per view the count behind air, or None: :data:`EIGHT_BIT_AIR` for 8-bit images of
            ``intensity``, else unknown.

    Raises:
        GeometryError: a calibration that cannot be used, or an image of another size.
        ImageError: an image that cannot be read.
    """
    radiographs = [read_radiograph(image) for _, image in pairs]
    unknown = [None] * len(pairs)
    kinds, counts, assumptions = [], [], []
    for radiograph, kind, count, (_, image) in zip(
        radiographs, values or unknown, air or unknown, pairs
    ):
        kind = kind or radiograph.values
        if kind is None:
            kind = "intensity"
            assumptions.append(
                Message("'{name}' is taken to contain detector counts.", name=Path(image).name)
            )
        if kind == "intensity" and count is None and radiograph.eight_bit:
            count = EIGHT_BIT_AIR
        kinds.append(kind)
        counts.append(count)
    rig = rig_of_cameras(
        [calibration for calibration, _ in pairs],
        [radiograph.size for radiograph in radiographs],
        kinds,
        laterality=laterality,
        air=counts,
    )
    sources = tuple(
        replace(source, image=str(image)) for source, (_, image) in zip(rig.sources, pairs)
    )
    return replace(rig, sources=sources, assumptions=(*assumptions, *rig.assumptions))


def rig_of_cameras(
    calibrations: Sequence[str | os.PathLike],
    sizes: Sequence[tuple[int, int]],
    values: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    laterality: str | None = None,
    air: Sequence[float | None] | None = None,
) -> RadiographRig:
    """:func:`rig_from_calibration` for images that are in memory already.

    Args:
        calibrations: a file per view.
        sizes: (columns, rows) of each image.
        values: kind of pixel values of each image.
        names: of the views; default "view 1", "view 2", ...
        laterality: as there.
        air: per view the count behind air, or None: unknown.

    Raises:
        GeometryError: a calibration that cannot be used, or an image of another size.
    """
    if len(calibrations) < 2:
        raise GeometryError(
            "{count} calibrated view(s) given; depth needs two.",
            "Give a calibration file and an image for each of two views or more.",
            count=len(calibrations),
        )
    cameras = [read_calibration(calibration) for calibration in calibrations]
    names = names or [f"view {index + 1}" for index in range(len(cameras))]
    cameras, assumptions = _in_millimetres(cameras)
    middle = _common_middle(cameras)
    assumptions += _off_centre(cameras, middle)
    views = []
    for name, camera, calibration, size in zip(names, cameras, calibrations, sizes):
        if size != camera.size:
            raise GeometryError(
                "The image of '{name}' has {image} pixels, its calibration '{calibration}' {size}.",
                "Use the undistorted image that belongs to the calibration.",
                name=name,
                image=f"{size[0]} x {size[1]}",
                calibration=calibration,
                size=f"{camera.size[0]} x {camera.size[1]}",
            )
        views.append(
            camera_view(
                name,
                camera,
                _MAGNIFICATION * float((camera.rotation @ middle + camera.translation)[2]),
            )
        )
    return RadiographRig(
        views=tuple(views),
        sources=tuple(
            Source(values=kind, air=count if kind == "intensity" else None)
            for kind, count in zip(values, air or [None] * len(cameras))
        ),
        frame="lab",
        laterality=laterality,
        # Calibrated suites expose their views together.
        simultaneous=True,
        assumptions=assumptions,
    )


def _in_millimetres(cameras: list[Calibration]) -> tuple[list[Calibration], tuple[str, ...]]:
    """The cameras with lengths in mm: pixels and angles fix all but the unit, which the width of
    the common field shows where a knee fits in only one."""
    middle = _common_middle(cameras)
    width = min(
        float((c.rotation @ middle + c.translation)[2]) * min(c.size) / abs(c.matrix[0, 0])
        for c in cameras
    )
    for unit, factor in {"centimetres": 10.0, "metres": 1000.0}.items():
        if width < _FIELD_MM[0] <= factor * width <= _FIELD_MM[1]:
            note = Message(
                "The calibration seems to be in {unit} (in mm its field would be {width:.3g} "
                "mm wide, too small for a knee); lengths were multiplied by {factor:g}.",
                unit=unit,
                width=width,
                factor=factor,
            )
            return [replace(c, translation=factor * c.translation) for c in cameras], (note,)
    if not _FIELD_MM[0] <= width <= _FIELD_MM[1]:
        note = Message(
            "The field of the calibrated cameras is {width:.3g} mm wide; check its unit.",
            width=width,
        )
        return cameras, (note,)
    return cameras, ()


def _off_centre(cameras: list[Calibration], middle: np.ndarray) -> tuple[str, ...]:
    """A sentence where the cameras do not look at one place as X-ray set-ups do.

    Raises:
        GeometryError: an image does not show the middle of the common field.
    """
    off = []
    for camera in cameras:
        seen = camera.matrix @ (camera.rotation @ middle + camera.translation)
        size = np.array(camera.size)
        off.append(float(np.abs((seen[:2] / seen[2] - (size - 1) / 2) / size).max()))
    if max(off) > 0.5:
        raise GeometryError(
            "The calibrated cameras have no common field: what one sees lies outside of another's "
            "image.",
            "Check that the files belong to one calibration, and their translations.",
        )
    if max(off) <= _OFF_CENTRE:
        return ()
    return (
        Message(
            "The middle of the views' common field lies {most:.0f} % of an image's side "
            "off its centre; check the translations in the calibration.",
            most=100 * max(off),
        ),
    )


def camera_view(name: str, camera: Calibration, sdd: float) -> View:
    """The view that projects as a camera does, with its detector ``sdd`` mm from the source.

    Negative focal lengths (images flipped against the camera's axes) turn the detector's edges.
    """
    focal = np.array([camera.matrix[0, 0], camera.matrix[1, 1]])
    spacing = sdd / np.abs(focal)
    column = np.sign(focal[0]) * camera.rotation[0]
    row = np.sign(focal[1]) * camera.rotation[1]
    source = -camera.rotation.T @ camera.translation
    foot = source + sdd * camera.rotation[2]
    principal = camera.matrix[:2, 2]
    return View(
        name=name,
        source=source,
        detector_origin=foot - principal[0] * spacing[0] * column - principal[1] * spacing[1] * row,
        column_direction=column,
        row_direction=row,
        pixel_spacing=(float(spacing[0]), float(spacing[1])),
        size=camera.size,
    )


def _common_middle(cameras: list[Calibration]) -> np.ndarray:
    """The point nearest to the rays through the image centres, ``(3,)`` mm, in front of them all.

    Raises:
        GeometryError: the cameras do not look at a common place.
    """
    normal_matrix, right_side = np.zeros((3, 3)), np.zeros(3)
    for camera in cameras:
        centre = np.array([(camera.size[0] - 1) / 2, (camera.size[1] - 1) / 2, 1.0])
        direction = camera.rotation.T @ np.linalg.solve(camera.matrix, centre)
        direction /= np.linalg.norm(direction)
        across = np.eye(3) - np.outer(direction, direction)
        normal_matrix += across
        right_side += across @ (-camera.rotation.T @ camera.translation)
    if np.linalg.cond(normal_matrix) < 1e6:
        middle = np.linalg.solve(normal_matrix, right_side)
        if all((c.rotation @ middle + c.translation)[2] > 0 for c in cameras):
            return middle
    raise GeometryError(
        "The calibrated cameras do not look at a common place in front of them.",
        "Check that x_camera = R x + t, and that the files belong to one calibration.",
    )
