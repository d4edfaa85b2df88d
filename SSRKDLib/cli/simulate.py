"""``python -m SSRKDLib simulate``: radiographs from a CT, from bone surfaces, or of a person."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.geometry.rig_presets import PRESETS
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.simulation.leg_motion import check_flexion, leg_motion, moved_bones
from SSRKDLib.simulation.writing import (
    PROJECTORS,
    RIG,
    SIMULATION,
    ExposureSettings,
    write_radiographs,
    write_true_bones,
)

if TYPE_CHECKING:
    from SSRKDLib.simulation.joseph import Volume
    from SSRKDLib.surfaces.mesh import Mesh


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``simulate`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "simulate",
        help="make radiographs from a CT, bone surfaces or a virtual knee",
        description=(
            "Writes OUT/rig.json and one line-integral image per view (NRRD, float32), with "
            "--flexion also the bones as they lay in each view (OUT/bones/VIEW/BONE.ply). Of "
            "an earlier simulation in OUT, these files are replaced; other files stay."
        ),
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--ct", metavar="CT", help="NIfTI, NRRD, MetaImage or a DICOM folder, in Hounsfield units"
    )
    source.add_argument(
        "--meshes", metavar="FOLDER", help="surfaces of the four bones (LPS mm); tissue is made up"
    )
    source.add_argument(
        "--person", type=int, metavar="N", help="a person of the bundled 26 (0 to 25)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--rig", metavar="RIG.json", help="how to look at it")
    how.add_argument(
        "--preset", choices=sorted(PRESETS), default="orthogonal",
        help="a ready-made rig around the middle of the knee or CT (default: orthogonal)",
    )  # fmt: skip
    parser.add_argument(
        "--flexion", type=float, metavar="DEG",
        help="a routine pair: every view after the first is taken with the knee bent by DEG more, "
        "the leg turned by 5 degrees and moved by 10 mm (default: nothing moves)",
    )  # fmt: skip
    parser.add_argument("--side", choices=("L", "R"), help="written into the rig")
    parser.add_argument("--seed", type=int, default=0, help="of tissue and noise (default: 0)")
    parser.add_argument(
        "--energy", type=float, default=60.0, metavar="KEV",
        help="effective photon energy, 40 to 100 (default: 60)",
    )  # fmt: skip
    parser.add_argument(
        "--photons", type=float, default=3e4, metavar="COUNT",
        help="mean count per pixel behind air (default: 30000)",
    )  # fmt: skip
    parser.add_argument(
        "--scatter", type=float, default=0.15, metavar="SHARE",
        help="scatter / (scatter + primary) behind the leg (default: 0.15)",
    )  # fmt: skip
    parser.add_argument(
        "--noise-free", action="store_true", help="bare projections: no noise, scatter or blur"
    )
    add_projector(parser)
    parser.set_defaults(run=run)
    return parser


def add_projector(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the method of projection."""
    parser.add_argument(
        "--projector", choices=PROJECTORS, default=PROJECTORS[0],
        help="Joseph's method, or TIGRE's on a GPU (default: joseph)",
    )  # fmt: skip


def run(arguments: argparse.Namespace, progress: Progress = no_progress) -> int:
    """Simulate, write, and print where the files are."""
    how = _exposure_settings(arguments)
    rig = None if arguments.rig is None else read_rig(arguments.rig)
    rng = np.random.default_rng(how.seed)
    inputs = [path for path in (arguments.rig, arguments.ct, arguments.meshes) if path is not None]
    if rig is not None:
        inputs += rig.images
    output = Path(arguments.output)
    with replaced_folder(output, SIMULATION, inputs) as folder:
        progress("volume", 0.0, "Making the volume")
        scene = _scene(arguments, rng)
        side = arguments.side or scene.side
        if rig is None:
            rig = PRESETS[arguments.preset](laterality=side, centre=tuple(scene.middle))
        elif arguments.side:
            rig = replace(rig, laterality=arguments.side)
        later = len(rig.views) - 1
        made = write_radiographs(
            [scene.volume, *[scene.later] * later], rig, folder, how, rng,
            lambda stage, fraction, message: progress(stage, 0.5 + 0.5 * fraction, message),
        )  # fmt: skip
        if scene.bones is not None:
            first, moved = scene.bones
            write_true_bones(folder, made.images, [first, *[moved] * later])
    progress("done", 1.0, "Done")
    print(f"{output / RIG}: {len(rig.views)} radiographs, projected by {how.projector}.")
    return 0


def _exposure_settings(arguments: argparse.Namespace) -> ExposureSettings:
    if arguments.person is not None and not 0 <= arguments.person <= 25:
        raise InputError(f"--person must be 0 to 25 (got {arguments.person}).")
    if arguments.flexion is not None:
        if arguments.ct is not None:
            raise InputError(
                "The knee of a CT cannot be bent: its bones are not known.",
                "Omit --flexion, or use --person or --meshes.",
            )
        check_flexion(arguments.flexion)
    return ExposureSettings(
        energy=arguments.energy,
        photons=arguments.photons,
        scatter=arguments.scatter,
        noise_free=arguments.noise_free,
        seed=arguments.seed,
        projector=arguments.projector,
    )


@dataclass(frozen=True)
class _Scene:
    """What is projected.

    ``volume`` by the first view, ``later`` by the others; ``middle``, the point to centre a preset
    on; ``side``, where it is known; ``bones``, before and after they moved, where they did.
    """

    volume: Volume
    later: Volume
    middle: np.ndarray
    side: str | None
    bones: tuple[dict[str, Mesh], dict[str, Mesh]] | None = None


def _scene(arguments: argparse.Namespace, rng: np.random.Generator) -> _Scene:
    if arguments.ct is not None:
        from SSRKDLib.ct.reading import read_scan
        from SSRKDLib.simulation.ct_volume import attenuation_volume

        scan = read_scan(arguments.ct)
        for note in scan.notes:
            print(f"note: {note}", file=sys.stderr)
        volume = attenuation_volume(scan, arguments.energy)
        return _Scene(volume, volume, volume.centre, None)
    from SSRKDLib.simulation.voxel_phantom import voxel_knee
    from SSRKDLib.surfaces.knee import joint_centre

    if arguments.meshes is not None:
        from SSRKDLib.surfaces.mesh_files import read_meshes

        meshes, side = read_meshes(arguments.meshes), None
    else:
        from SSRKDLib.simulation.population import load_person

        meshes, side = load_person(arguments.person), "L"
    volume = voxel_knee(meshes, rng, energy=arguments.energy)
    if arguments.flexion is None:
        return _Scene(volume, volume, joint_centre(meshes), side)
    directions = np.random.default_rng([arguments.seed, 1])
    moved = moved_bones(meshes, leg_motion(meshes, arguments.flexion, directions))
    # The same leg: its tissue is drawn from the same seed.
    later = voxel_knee(moved, np.random.default_rng(arguments.seed), energy=arguments.energy)
    return _Scene(volume, later, joint_centre(meshes), side, (meshes, moved))
