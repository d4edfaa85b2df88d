"""Runs the module's steps inside 3D Slicer and writes a report.

    Slicer --no-splash --testing --additional-module-paths SSRKD \
        --python-script Testing/slicer/run_in_slicer.py --level smoke --report report.json

On the bench, without Slicer:

    python -m Testing.slicer.run_in_slicer --on-bench --level full --report out/report.json

Level ``smoke`` needs no PyTorch and less than a minute; ``full`` reconstructs as well. The
application's log and a picture per step lie beside the report. Exit status 0 only if no step
failed. The text of this file is ASCII: Slicer reads it with the system's encoding.
"""

from __future__ import annotations

import argparse
import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = argparse.ArgumentParser(prog="run_in_slicer", description=__doc__.split("\n")[0])
    made.add_argument("--level", choices=("smoke", "full"), default="smoke")
    made.add_argument("--report", default="report.json", help="file to write, JSON")
    made.add_argument("--on-bench", action="store_true", help="on the bench, without Slicer")
    return made


def main(arguments: list[str]) -> int:
    """Run the steps of a level; see above.

    Returns:
        The exit status.
    """
    chosen = parser().parse_args(arguments)

    from Testing.slicer import hosts
    from Testing.slicer.session import run

    host = hosts.Bench.start() if chosen.on_bench else hosts.Application()
    status = run(host, chosen.level, chosen.report)
    host.quit(status)
    return status


if __name__ == "__main__":
    if _ROOT not in sys.path:
        sys.path.append(_ROOT)
    _status = main(sys.argv[1:])
    if "--on-bench" in sys.argv:
        sys.exit(_status)
