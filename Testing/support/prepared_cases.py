"""A tiny prepared virtual cohort, made once for all tests that learn from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from SSRKDLib.cli import main as cli
from Testing.support.made_once import made_once

#: Of the tiny cohort: voxels per edge of the CT, pixels of a radiograph, and their size at the
#: joint, mm.
SIZE, PIXELS, PIXEL_MM = 32, 48, 4.6


@pytest.fixture(scope="session")
def processed(tmp_path_factory) -> Path:
    """Four labelled people (two to learn from, one each to validate and test) and two others."""
    return made_once(tmp_path_factory, "processed", _prepare)


def _prepare(output: Path) -> None:
    arguments = [
        "prepare", "-o", str(output), "--virtual", "6", "--labelled", "4", "--seed", "3",
        "--size", str(SIZE), "--detector", str(PIXELS), "--angles", "5", "--workers", "0",
        "--surface-points", "500", "--uniform-points", "2000", "--eval-share", "0.25",
        "--test-share", "0.25",
    ]  # fmt: skip
    assert cli.main(arguments) == cli.OK
