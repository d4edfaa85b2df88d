"""A tiny prepared virtual cohort, made once for all tests that learn from it."""

from __future__ import annotations

from pathlib import Path

from SSRKDLib.cli import main as cli

#: Of the tiny cohort: voxels per edge of the CT, pixels of a radiograph, and their size at the
#: joint, mm.
SIZE, PIXELS, PIXEL_MM = 32, 48, 4.6


def prepare_tiny(output: Path) -> Path:
    """Four labelled people (two to learn from, one each to validate and test) and two others."""
    arguments = [
        "prepare", "-o", str(output), "--virtual", "6", "--labelled", "4", "--seed", "3",
        "--size", str(SIZE), "--detector", str(PIXELS), "--angles", "5", "--workers", "0",
        "--surface-points", "500", "--uniform-points", "2000", "--eval-share", "0.25",
        "--test-share", "0.25",
    ]  # fmt: skip
    assert cli.main(arguments) == cli.OK
    return output
