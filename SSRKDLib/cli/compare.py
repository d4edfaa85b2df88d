"""``python -m SSRKDLib compare``: how far a reconstruction is from a reference."""

from __future__ import annotations

import argparse
from pathlib import Path

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.reconstruction.choices import VIEW_NAMES

_MOVED = (
    "The bones moved between the radiographs, so that each was aligned by itself; --align none or "
    "all compares the joint as it lay."
)


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``compare`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "compare",
        help="distances and overlap between two sets of bones",
        description=(
            "Writes OUT/compare.csv, a row per bone, and prints the table. RECON and REFERENCE are "
            "folders of meshes (PLY, STL, OBJ, VTP) or label maps (NIfTI, NRRD, .seg.nrrd), in "
            "millimetres; bones are found by terminology and by name. An earlier compare.csv is "
            "replaced, other files stay."
        ),
    )
    parser.add_argument("recon", metavar="RECON", help="folder of meshes, or label map")
    parser.add_argument("reference", metavar="REFERENCE", help="folder of meshes, or label map")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output folder")
    parser.add_argument(
        "--align",
        choices=("none", "all", "bone"),
        help=(
            "move the reference onto the reconstruction first: not at all (both are in one "
            "frame), all bones as one body, or every bone by itself (default: none; bone, where "
            "RECON's report says that bones moved between the radiographs)"
        ),
    )
    parser.add_argument(
        "--rig",
        metavar="RIG.json",
        help="evaluate what both views of this rig see, not what the reconstruction reaches",
    )
    parser.add_argument(
        "--side", choices=("L", "R"), help="the knee's side (default: as the rig or report says)"
    )
    parser.add_argument(
        "--pick",
        action="append",
        default=[],
        metavar="BONE=NAME",
        help="the reference's segment, file or value for a bone, where names do not tell (such as "
        "femur=75); may be repeated",
    )
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace, progress: Progress = no_progress) -> int:
    """Compare, write, and print the table."""
    from SSRKDLib.core.output_folder import recover_absent, replaced_folder
    from SSRKDLib.evaluation.comparison import measure_distances
    from SSRKDLib.evaluation.tables import COMPARISON, FILE, format_table, write_comparison
    from SSRKDLib.radiographs.rig_file import read_rig
    from SSRKDLib.reconstruction.result_folder import (
        changed_since,
        check_same_side,
        read_report,
        reported_side,
    )
    from SSRKDLib.surfaces.distance import best_backend
    from SSRKDLib.surfaces.label_maps import read_reference

    picked = _picked(arguments.pick)
    inputs = [path for path in (arguments.recon, arguments.reference, arguments.rig) if path]
    recover_absent(inputs)
    with replaced_folder(arguments.output, COMPARISON, inputs) as folder:
        progress("read", 0.0, "Reading the reconstruction")
        rig = read_rig(arguments.rig) if arguments.rig else None
        report = read_report(arguments.recon)
        known_side = arguments.side or (rig.laterality if rig else None) or reported_side(report)
        moved = arguments.align is None and report.get("pose") in VIEW_NAMES
        mode = arguments.align or ("bone" if moved else "none")
        recon = read_reference(arguments.recon, known_side)
        check_same_side(arguments.reference, recon.side)
        changed = changed_since(arguments.recon) + changed_since(arguments.reference)
        progress("read", 0.1, "Reading the reference")
        reference = read_reference(arguments.reference, recon.side, picked)
        progress("compare", 0.3, "Laying the reference on the reconstruction, measuring distances")
        found = measure_distances(
            recon.meshes, reference.meshes, mode, rig, reference.masks, best_backend()
        )
        write_comparison(folder / FILE, found.rows)
    progress("done", 1.0, "Done")
    print(format_table(found.rows))
    poses = (_MOVED,) if moved else ()
    for sentence in (
        *changed,
        *poses,
        *recon.sentences,
        *reference.sentences,
        *found.alignment.notes,
    ):
        print(f"note: {sentence}")
    print(Path(arguments.output) / FILE)
    return 0


def _picked(pairs: list[str]) -> dict[str, str]:
    """``BONE=NAME`` as bone to name."""
    picked = {}
    for pair in pairs:
        bone, equals, name = pair.partition("=")
        if not equals or not name:
            raise InputError(f"'{pair}' picks nothing.", "Write --pick BONE=NAME.")
        picked[bone.strip().lower()] = name
    return picked
