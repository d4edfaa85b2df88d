"""The files of the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def repository_files(root: Path = ROOT) -> list[Path]:
    """Files that git tracks or would add, in order.

    Args:
        root: folder of the checkout.

    Returns:
        Absolute paths of files that exist; what git ignores is left out.

    Raises:
        RuntimeError: ``root`` is not a git checkout, or git is not installed.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(
            f"The files of {root} cannot be listed: it must be a git checkout and git must be "
            f"installed ({error})."
        ) from error
    files = {root / name for name in listing.stdout.decode("utf-8").split("\0") if name}
    return sorted(path for path in files if path.is_file())
