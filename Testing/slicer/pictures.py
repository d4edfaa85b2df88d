"""The pictures of ``Docs/first-run.md``: ``python -m Testing.slicer.pictures REPORT``.

Until somebody has run the steps in Slicer they are of the bench (level ``full``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image

from Testing.slicer.page import PROTOCOL

FOLDER = PROTOCOL.parent / "pictures" / "first-run"
_WIDTH = 960  # pixels
_QUALITY = 78  # of JPEG; the repository is to stay small


def main(arguments: list[str]) -> int:
    """Scale a report's pictures and put them in place.

    Args:
        arguments: the report.json.

    Returns:
        0.
    """
    report, protocol = Path(arguments[0]), PROTOCOL.read_text(encoding="utf-8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for step in json.loads(report.read_text(encoding="utf-8"))["steps"]:
        path = FOLDER / f"{step['name']}.jpg"
        if not step["picture"] or path.name not in protocol:
            continue
        with Image.open(report.parent / step["picture"]) as picture:
            size = (_WIDTH, round(picture.height * _WIDTH / picture.width))
            small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            small.save(path, quality=_QUALITY, optimize=True)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
