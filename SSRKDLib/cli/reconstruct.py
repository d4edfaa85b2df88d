"""``python -m SSRKDLib reconstruct``: radiographs, or a CT, in; four bone surfaces out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

from SSRKDLib.core.errors import GeometryError, InputError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.models.devices import DEVICES
from SSRKDLib.radiographs.exposure import RadiographRig, Source, with_sources
from SSRKDLib.radiographs.intensity import VALUE_KINDS
from SSRKDLib.radiographs.reading import Radiograph
from SSRKDLib.reconstruction.choices import POSES, SURFACES
from SSRKDLib.reconstruction.job import SPACINGS

if TYPE_CHECKING:
    from SSRKDLib.reconstruction.ct import CtReconstruction
    from SSRKDLib.reconstruction.radiographs import Reconstruction

#: A rig, and its radiographs where they were read.
_Read = tuple[RadiographRig, Optional[list[Radiograph]]]

Reconstruct = Callable[[Progress], Union["Reconstruction", "CtReconstruction"]]


class _OnlyRig(argparse.Action):
    """The file that stands without an option's name; images that stand there are sent to theirs."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if len(values) > 1 or any(map(_is_image, map(Path, values))):
            raise InputError(
                Message("One RIG.json is expected here, not '{path}'.", path=values[-1]),
                "Give radiographs as --frontal AP --lateral LAT, a CT as --ct CT.",
            )
        namespace.rig = values[0] if values else None


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``reconstruct`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "reconstruct",
        help="radiographs, or a CT, in; four bone surfaces out",
        description=(
            "Writes OUT/{patella,femur,fibula,tibia}.ply (mm, in the rig's frame; of a CT: the "
            "patient's, LPS) and OUT/report.json. Of an earlier result in OUT, "
            "these files are replaced, all at the end; other files stay."
        ),
    )
    parser.add_argument(
        "rig", nargs="*", action=_OnlyRig, metavar="RIG.json", help="how the views were taken"
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output folder")
    files = parser.add_argument_group(
        "two files instead of a rig, or one: what a single view does not tell is then the "
        "population's"
    )
    files.add_argument("--frontal", metavar="AP.dcm")
    files.add_argument("--lateral", metavar="LAT.dcm")
    for flag, help_text in (
        ("--sdd", "source to detector, mm"),
        ("--sod", "source to knee, mm"),
        ("--pixel-spacing", "on the detector, mm"),
    ):
        files.add_argument(
            flag, type=float, metavar="MM",
            help=f"{help_text}; replaces the tags (needed for files that are not DICOM)",
        )  # fmt: skip
    files.add_argument("--values", choices=VALUE_KINDS, help="kind of pixel values")
    parser.add_argument(
        "--ct", metavar="CT",
        help="instead of radiographs: NIfTI, NRRD, MetaImage or a DICOM folder, in Hounsfield "
        "units; needs weights with a teacher",
    )  # fmt: skip
    parser.add_argument("--laterality", choices=("L", "R"), help="left or right knee")
    parser.add_argument(
        "--weights", metavar="NAME|PATH", help="default: the weights that come with SSRKD"
    )
    parser.add_argument(
        "--spacing", type=float, choices=SPACINGS, metavar="MM",
        help="of the grid that field surfaces are taken from: 0.5, 1 or 2 mm (default: 1); of "
        "a CT it is what the weights were trained on",
    )  # fmt: skip
    parser.add_argument(
        "--surface", choices=SURFACES,
        help="fitted: a population's shape model, fitted to the radiographs or the CT (default "
        "with the project's own weights); field: the isosurface of the network's field (default "
        "with imported weights)",
    )  # fmt: skip
    parser.add_argument(
        "--pose",
        choices=POSES,
        help="where bones moved between the views: the view in whose pose they are written "
        "(default: lateral)",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace, progress: Progress = no_progress) -> int:
    """Reconstruct, write, and print what was found.

    Raises:
        SSRKDError: what is missing on this computer.
    """
    from SSRKDLib.core.output_folder import replaced_folder
    from SSRKDLib.reconstruction.result_folder import RECONSTRUCTION, write_result

    inputs, reconstruct = _of_radiographs(arguments) if arguments.ct is None else _of_ct(arguments)
    inputs += [path for path in (arguments.weights,) if path is not None]
    with replaced_folder(arguments.output, RECONSTRUCTION, inputs) as folder:
        result = reconstruct(progress)
        progress("write", 0.98, "Writing the surfaces")
        write_result(folder, result)
    progress("done", 1.0, "Done")
    _tell(result, arguments.output, arguments.verbose)
    return 0


def _is_image(path: Path) -> bool:
    if path.suffix.lower() == ".json" or not path.is_file():
        return path.is_dir()
    with suppress(OSError), path.open("rb") as file:  # reading the rig will say what is wrong
        return not file.read(16).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    return False


def _of_radiographs(arguments: argparse.Namespace) -> tuple[list[str], Reconstruct]:
    """The files that are read, and what makes a result of them."""
    from SSRKDLib.reconstruction.job import Job

    rig, radiographs = _rig(arguments)
    inputs = [] if arguments.rig is None else [arguments.rig]
    inputs += rig.images

    def reconstruct(progress: Progress) -> Reconstruction:
        progress("read", 0.0, "Reading the radiographs")
        spacing = 1.0 if arguments.spacing is None else arguments.spacing
        return Job.read(rig, radiographs=radiographs).run_with(
            arguments.weights, arguments.device, spacing, progress=progress,
            surface=arguments.surface, pose=arguments.pose or POSES[0],
        )  # fmt: skip

    return inputs, reconstruct


def _of_ct(arguments: argparse.Namespace) -> tuple[list[str], Reconstruct]:
    """As :func:`_of_radiographs`."""
    from SSRKDLib.reconstruction.ct import reconstruct_ct_file

    if any(value is not None for value in (arguments.rig, *_of_files(arguments))):
        raise InputError("Both a CT and radiographs are given.", "Give --ct CT, or the others.")
    if arguments.spacing is not None:
        raise InputError(
            "A CT is reconstructed on the grid that the weights were trained on.",
            "Omit --spacing.",
        )
    if arguments.pose is not None:
        raise InputError("A CT has one pose.", "Omit --pose.")

    def reconstruct(progress: Progress) -> CtReconstruction:
        return reconstruct_ct_file(
            arguments.ct, arguments.weights, arguments.device, arguments.laterality, progress,
            arguments.surface,
        )  # fmt: skip

    return [arguments.ct], reconstruct


def _of_files(arguments: argparse.Namespace) -> tuple[object, ...]:
    """What describes single radiographs; None where it is not given."""
    names = ("frontal", "lateral", "sdd", "sod", "pixel_spacing", "values")
    return tuple(getattr(arguments, name) for name in names)


def _tell(result: Reconstruction | CtReconstruction, output: str, verbose: bool) -> None:
    """Warnings on stderr, the outcome on stdout."""
    report = result.report
    for sentence in report.get("radiographs", ()) if verbose else ():
        print(f"note: {sentence}", file=sys.stderr)
    for sentence in report["warnings"]:
        print(f"warning: {sentence}", file=sys.stderr)
    volumes = ", ".join(
        f"{bone} {about['volume_mm3'] / 1000:.1f} cm3"
        for bone, about in report["bones"].items()
        if about["found"]
    )
    print(f"{output}: {volumes} ({report['seconds']['total']:.1f} s on {report['device']}).")


def _rig(arguments: argparse.Namespace) -> _Read:
    """The rig, and its radiographs where making it has read them."""
    files = (arguments.frontal, arguments.lateral)
    if arguments.rig is not None:
        return _from_file(arguments), None
    if files == (None, None):
        raise GeometryError(
            "Nothing to reconstruct is given.",
            "Give a RIG.json, or --frontal and --lateral, or --ct.",
        )
    return _from_files(arguments)


def _from_file(arguments: argparse.Namespace) -> RadiographRig:
    from SSRKDLib.radiographs.rig_file import read_rig

    if any(value is not None for value in _of_files(arguments)):
        raise GeometryError(
            "Both a rig and options that describe single files are given.",
            "Give RIG.json alone, or --frontal and --lateral with their distances.",
        )
    rig = read_rig(arguments.rig)
    if arguments.laterality is None:
        return rig
    return replace(rig, laterality=arguments.laterality)


def _from_files(arguments: argparse.Namespace) -> _Read:
    from SSRKDLib.radiographs.dicom_distances import Overrides
    from SSRKDLib.radiographs.dicom_tags import read_dicom_tags
    from SSRKDLib.radiographs.reading import read_radiograph
    from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom
    from SSRKDLib.radiographs.rig_from_one_dicom import rig_from_one_dicom

    files = {"frontal": arguments.frontal, "lateral": arguments.lateral}
    files = {name: os.path.abspath(path) for name, path in files.items() if path is not None}
    paths = list(files.values())
    radiographs = [read_radiograph(path) for path in paths]
    if all(radiograph.dicom is None for radiograph in radiographs):
        return _from_plain_images(arguments, files, [r.size for r in radiographs]), radiographs
    spacing = arguments.pixel_spacing
    own = Overrides(
        sdd=arguments.sdd,
        sod=arguments.sod,
        pixel_spacing=None if spacing is None else (spacing, spacing),
        values=arguments.values,
    )
    tags = [r.dicom or read_dicom_tags(path) for r, path in zip(radiographs, paths)]
    read = dict(zip(paths, radiographs))
    side = arguments.laterality
    if len(files) == 1:
        rig = rig_from_one_dicom(*paths, *files, laterality=side, own=own, tags=tags[0])
    else:
        rig = rig_from_dicom(*paths, laterality=side, frontal=own, lateral=own, tags=tags)
    # The files may have been exchanged.
    return rig, [read[image] for image in rig.images]


def _from_plain_images(
    arguments: argparse.Namespace, files: dict[str, str], sizes: list[tuple[int, int]]
) -> RadiographRig:
    """AP and mediolateral, which is how most knees are taken; other views need a rig."""
    from SSRKDLib.geometry.known import Known
    from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances

    needed = {
        "--sdd": arguments.sdd,
        "--sod": arguments.sod,
        "--pixel-spacing": arguments.pixel_spacing,
        "--values": arguments.values,
    }
    missing = [flag for flag, value in needed.items() if value is None]
    if missing:
        raise GeometryError(
            f"The files are not DICOM, so {', '.join(missing)} must be given.",
            "Give them, or make a rig file (rig --help).",
        )
    angles = {"frontal": 0.0, "lateral": 90.0 if arguments.laterality == "R" else -90.0}
    views = [
        PlainView(
            angle=angles[name],
            sdd=arguments.sdd,
            sod=arguments.sod,
            pixel_spacing=(arguments.pixel_spacing, arguments.pixel_spacing),
            size=size,
            name=name,
            known=Known("typed", "typed", "assumed", "assumed"),
        )
        for name, size in zip(files, sizes)
    ]
    rig = rig_from_distances(views, arguments.laterality)
    notes = ["The views are taken to be AP and mediolateral, seen from the tube, head up."]
    if arguments.laterality is None and "lateral" in files:
        notes.append(
            "The side is unknown (--laterality); the lateral view is taken to be that of a left "
            "knee, its tube at the patient's right."
        )
    rig = replace(rig, assumptions=(*rig.assumptions, *notes))
    return with_sources(rig, [Source(path, arguments.values) for path in files.values()])
