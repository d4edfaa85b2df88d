"""The address of the project's repository: one, in ``SSRKD.json``, copied to where it is needed.

    python -m Testing.address https://github.com/OWNER/SlicerSSRKD      # make address URL=...

replaces it in every file of the repository, and the addresses of raw files with it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from Testing.structure.repository import ROOT, repository_files

#: Stands in until the project has a public home. In two pieces, so that it is not replaced here.
PLACEHOLDER = "https://github.com/SSRKD" + "/SlicerSSRKD"

_FORM = re.compile(r"https://github\.com/[A-Za-z0-9-]+/Slicer[A-Za-z0-9_.-]*")

#: Where the Extensions Index fetches icon and screenshots.
_RAW = "https://raw.githubusercontent.com/"


def address(root: Path = ROOT) -> str:
    """The repository's address, as the Extensions Index gets it."""
    return json.loads((root / "SSRKD.json").read_text(encoding="utf-8"))["scm_url"]


def raw(url: str) -> str:
    """Where files of a repository are fetched from one by one, without the branch."""
    return url.replace("https://github.com/", _RAW)


def write_address(url: str, root: Path = ROOT) -> list[str]:
    """Replace the repository's address in every file.

    Args:
        url: the new address.
        root: of the checkout.

    Returns:
        Names of the files that were changed.

    Raises:
        ValueError: it is not an address that the Extensions Index takes.
    """
    if _FORM.fullmatch(url) is None or url.endswith(".git"):
        raise ValueError(
            f"'{url}' is not of the form https://github.com/OWNER/SlicerNAME. The Extensions Index "
            "takes repositories whose name begins with Slicer: rename it, or type its address."
        )
    old, changed = address(root), []
    for path in repository_files(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary data
        new = text
        for before, after in ((old, url), (raw(old), raw(url))):
            new = re.sub(re.escape(before) + r"(?![\w-])", after, new)
        if new != text:
            path.write_text(new, encoding="utf-8", newline="\n")
            changed.append(path.relative_to(root).as_posix())
    return changed


def main(arguments: list[str]) -> int:
    """Write the address.

    Returns:
        0; 2 where it is not one.
    """
    try:
        (url,) = arguments
        changed = write_address(url.rstrip("/"))
    except ValueError as error:
        print(error if arguments else "Type the address: make address URL=https://github.com/...")
        return 2
    print(f"{address()} is in {', '.join(changed) or 'every file already'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
