"""The README's pictures of reconstructions: ``python -m Testing.figures.readme_pictures``.

``make pictures`` runs it. It runs the demo and draws its overviews into ``Docs/pictures/``, in true
colour and 1600 pixels wide. Cases whose data are absent keep the pictures they have.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from SSRKDLib.cli import main as cli
from Testing.structure.repository import ROOT

OUTPUT = ROOT / "Docs" / "pictures"
WIDTH = 1600


def main() -> int:
    """Draw the pictures; returns the demo's exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        code = cli.main(["demo", "-o", scratch])
        for overview in sorted(Path(scratch).glob("*/overview.png")):
            with Image.open(overview) as picture:
                height = round(picture.height * WIDTH / picture.width)
                small = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
            small.save(OUTPUT / f"{overview.parent.name}.png", optimize=True)
            print(f"{OUTPUT / overview.parent.name}.png")
    return code


if __name__ == "__main__":
    sys.exit(main())
