"""``python -m SSRKDLib rig``: make a RIG.json from DICOM tags, calibration files or numbers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from SSRKDLib.core.errors import GeometryError, OutputError
from SSRKDLib.radiographs.exposure import RadiographRig, Source, with_sources
from SSRKDLib.radiographs.intensity import VALUE_KINDS
from SSRKDLib.radiographs.rig_file import read_written_rig, write_rig


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``rig`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "rig",
        help="make a rig file from DICOM files, calibration files or plain numbers",
        description=(
            "Writes how two radiographs were taken. Give --frontal and --lateral (DICOM tags), "
            "or --calibration twice (K, R, t files), or --images with distances and angles."
        ),
    )
    parser.add_argument("-o", "--output", required=True, metavar="RIG.json")
    source = parser.add_argument_group("where the rig comes from")
    source.add_argument("--frontal", metavar="AP.dcm")
    source.add_argument("--lateral", metavar="LAT.dcm")
    source.add_argument(
        "--calibration",
        nargs=2,
        action="append",
        metavar=("CAM.txt", "IMAGE"),
        help="a calibration file and its image; repeat per view",
    )
    source.add_argument("--images", nargs="+", metavar="IMAGE", help="one per view")
    numbers = parser.add_argument_group(
        "numbers, one per view or one for all (with DICOM they replace the tags)"
    )
    for flag, help_text in (
        ("--sdd", "source to detector, mm"),
        ("--sod", "source to knee, mm"),
        ("--spacing", "pixel spacing on the detector, mm"),
        ("--angle", "degrees; 0: source in front, 90: at the patient's left (with --images)"),
    ):
        numbers.add_argument(flag, nargs="+", type=float, metavar="NUMBER", help=help_text)
    numbers.add_argument(
        "--view", nargs="+", metavar="VIEW", help="view positions, such as AP LL (with DICOM)"
    )
    numbers.add_argument("--values", nargs="+", choices=VALUE_KINDS, help="kind of pixel values")
    numbers.add_argument("--air", nargs="+", type=float, metavar="COUNT", help="count behind air")
    parser.add_argument("--side", choices=("L", "R"), help="left or right knee")
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Make the rig, write it, and print what was assumed."""
    rig = _rig(arguments)
    inputs = rig.images + [camera for camera, _ in arguments.calibration or ()]
    if os.path.realpath(arguments.output) in map(os.path.realpath, inputs):
        raise OutputError(
            f"'{arguments.output}' is one of the inputs and would be overwritten.",
            "Choose another name for the rig.",
        )
    if os.path.exists(arguments.output) and read_written_rig(Path(arguments.output)) is None:
        raise OutputError(
            f"'{arguments.output}' is not a rig as this command writes it, and would be replaced.",
            "Choose another name for the rig, or move that file.",
        )
    write_rig(rig, arguments.output)
    for sentence in rig.assumptions:
        print(f"Note: {sentence}")
    print(f"{arguments.output}: {len(rig.views)} views, frame {rig.frame}.")
    return 0


def _rig(arguments: argparse.Namespace) -> RadiographRig:
    dicom = arguments.frontal is not None or arguments.lateral is not None
    sources = [dicom, bool(arguments.calibration), bool(arguments.images)]
    if sum(sources) != 1 or (dicom and None in (arguments.frontal, arguments.lateral)):
        raise GeometryError(
            "The rig needs one kind of input.",
            "Give --frontal and --lateral, or --calibration per view, or --images.",
        )
    _refuse_options(arguments, "DICOM" if dicom else "calibration" if sources[1] else "images")
    if dicom:
        return _from_dicom(arguments)
    if arguments.calibration:
        return _from_calibration(arguments)
    return _from_numbers(arguments)


#: Options that a kind of input has no use for.
_UNUSED = {
    "DICOM": ("angle",),
    "calibration": ("sdd", "sod", "spacing", "angle", "view"),
    "images": ("view",),
}


def _refuse_options(arguments: argparse.Namespace, kind: str) -> None:
    given = [f"--{key}" for key in _UNUSED[kind] if getattr(arguments, key) is not None]
    if given:
        source = {
            "DICOM": "DICOM files give the directions of the views (--view replaces them)",
            "calibration": "calibration files give the whole geometry",
            "images": "--images take the directions of the views from --angle",
        }[kind]
        raise GeometryError(
            f"{', '.join(given)} cannot be used here: {source}.", "Omit the option."
        )


def _from_dicom(arguments: argparse.Namespace) -> RadiographRig:
    from SSRKDLib.radiographs.both_knees import one_knee
    from SSRKDLib.radiographs.dicom_distances import Overrides
    from SSRKDLib.radiographs.exposure import read_exposures
    from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom

    columns = {
        "sdd": _per_view(arguments, "sdd", 2),
        "sod": _per_view(arguments, "sod", 2),
        "pixel_spacing": [
            None if s is None else (s, s) for s in _per_view(arguments, "spacing", 2)
        ],
        "view_position": _per_view(arguments, "view", 2),
        "values": _per_view(arguments, "values", 2),
        "air": _per_view(arguments, "air", 2),
    }
    own = [Overrides(**{key: value[k] for key, value in columns.items()}) for k in (0, 1)]
    rig = rig_from_dicom(
        _absolute(arguments.frontal),
        _absolute(arguments.lateral),
        laterality=arguments.side,
        frontal=own[0],
        lateral=own[1],
    )
    return one_knee(rig, read_exposures(rig)[0])[0]


def _from_calibration(arguments: argparse.Namespace) -> RadiographRig:
    from SSRKDLib.radiographs.rig_from_calibration import rig_from_calibration

    return rig_from_calibration(
        [(camera, _absolute(image)) for camera, image in arguments.calibration],
        laterality=arguments.side,
        values=_per_view(arguments, "values", len(arguments.calibration)),
        air=_per_view(arguments, "air", len(arguments.calibration)),
    )


def _from_numbers(arguments: argparse.Namespace) -> RadiographRig:
    from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances
    from SSRKDLib.radiographs.reading import read_radiograph

    count = len(arguments.images)
    numbers = {key: _per_view(arguments, key, count) for key in ("sdd", "sod", "spacing", "angle")}
    missing = [f"--{key}" for key, values in numbers.items() if None in values]
    if missing:
        raise GeometryError(
            f"With --images, {', '.join(missing)} must be given.",
            "Give one number per view, or one for all.",
        )
    values = _per_view(arguments, "values", count)
    air = _per_view(arguments, "air", count)
    views, sources = [], []
    for k, image in enumerate(arguments.images):
        radiograph = read_radiograph(image)
        kind = values[k] or radiograph.values
        if kind is None:
            raise GeometryError(
                f"'{image}' does not state what its pixel values are.",
                f"Give --values: {', '.join(VALUE_KINDS)}.",
            )
        views.append(
            PlainView(
                angle=numbers["angle"][k],
                sdd=numbers["sdd"][k],
                sod=numbers["sod"][k],
                pixel_spacing=(numbers["spacing"][k], numbers["spacing"][k]),
                size=radiograph.size,
            )
        )
        sources.append(Source(_absolute(image), kind, air[k] if kind == "intensity" else None))
    return with_sources(rig_from_distances(views, arguments.side), sources)


def _per_view(arguments: argparse.Namespace, key: str, count: int) -> Sequence:
    """The option's values, one per view; a single one counts for all, none is None."""
    given = getattr(arguments, key) or [None]
    if len(given) == 1:
        return given * count
    if len(given) != count:
        raise GeometryError(
            f"--{key} has {len(given)} values for {count} views.",
            "Give one per view, or one for all.",
        )
    return given


def _absolute(path: str) -> str:
    """Rig files store images relative to themselves; for that their path must be absolute."""
    return os.path.abspath(Path(path))
