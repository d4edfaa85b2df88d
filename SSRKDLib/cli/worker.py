"""``python -m SSRKDLib worker``: run jobs for another program, 3D Slicer's module for example."""

from __future__ import annotations

import argparse


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``worker`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "worker",
        help="run jobs for another program (JSON lines on stdin and stdout)",
        description=(
            "Reads jobs as JSON lines from standard input and replies on standard output until "
            "the input closes. For programs; see SSRKDLib/worker/protocol.py."
        ),
    )
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Serve until standard input closes."""
    from SSRKDLib.worker.server import serve_standard_streams
    from SSRKDLib.worker.tasks import all_tasks

    serve_standard_streams(all_tasks())
    return 0
