"""``python -m SSRKDLib compare``: how far a reconstruction is from a reference."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str, float, str], None]


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``compare`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "compare",
        help="distances and overlap between two sets of bones",
        description=(
            "Writes OUT/compare.csv, a row per bone, and prints the table. RECON and REFERENCE are "
            "folders of meshes (PLY, STL, OBJ, VTP, named after the bones) or label maps, in one "
            "frame. An existing OUT is replaced."
        ),
    )
    parser.add_argument("recon", metavar="RECON", help="folder of meshes, or label map")
    parser.add_argument("reference", metavar="REFERENCE", help="folder of meshes, or label map")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output folder")
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace, progress: Progress | None = None) -> int:
    """Compare, write, and print the table.

    Args:
        arguments: as parsed by :func:`add_parser`'s parser.
        progress: called with stage, fraction done and message; what it raises ends the job.

    Returns:
        0.

    Raises:
        InputError: anything that cannot be used; an existing output is left alone then.
    """
    from SSRKDLib.comparison import FILE, format_table, write_comparison
    from SSRKDLib.labelmaps import read_bones
    from SSRKDLib.metrics import compare_meshes
    from SSRKDLib.results import result_folder

    say = progress or (lambda stage, fraction, message: None)
    with result_folder(arguments.output, own={FILE}, mark=None) as folder:
        say("read", 0.0, "Reading the reconstruction")
        recon = read_bones(arguments.recon)
        say("read", 0.2, "Reading the reference")
        reference = read_bones(arguments.reference)
        say("compare", 0.4, "Measuring distances")
        rows = compare_meshes(recon, reference)
        write_comparison(folder / FILE, rows)
    say("done", 1.0, "Done")
    print(format_table(rows))
    print(Path(arguments.output) / FILE)
    return 0
