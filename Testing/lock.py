"""``make lock``: requirements/*.txt anew, every package with its version and its files' hashes.

Each file has what its people need beyond the file before: ``user.txt``, ``training.txt``,
``test.txt``. PyTorch stands aside: ``torch.txt`` has the builds of the Python package index, with
CUDA's libraries on Linux; ``torch-cpu.txt``, written by hand, a build without them. Versions stay
as they are; with ``--upgrade`` the newest are taken.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from Testing.structure.repository import ROOT

FOLDER = ROOT / "requirements"

#: Names of requirements' files with what they are compiled from; each contains those before it.
LAYERS = {
    "user": ["pyproject.toml", "requirements/user.in"],
    "training": ["--extra", "training"],
    "test": ["--extra", "test", "requirements/test.in"],
}

#: Packages of PyTorch's builds.
_TORCH = re.compile(r"torch|triton|(nvidia|cuda)-.*")

_HEAD = "# Made by `make lock`. Python 3.11 or newer.\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uv", default="uv", help="the program uv")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    arguments = parser.parse_args()
    known = [] if arguments.upgrade else [*map(str, FOLDER.glob("*.txt"))]
    kept = [part for path in known if "torch-cpu" not in path for part in ("--constraint", path)]
    with tempfile.TemporaryDirectory() as work:
        everything = Path(work) / "all.txt"

        def compiled(*inputs: str) -> dict[str, str]:
            """Each package's lines by its name."""
            subprocess.run(
                [
                    arguments.uv, "pip", "compile", "--quiet", "--universal", "--python-version",
                    "3.11", "--generate-hashes", "--no-annotate", "--no-header", "--override",
                    "requirements/overrides.in", *kept, "--output-file", str(everything), *inputs,
                ],
                cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            found = re.finditer(r"(?ms)^([\w.-]+)==.*?(?=^\S|\Z)", everything.read_text())
            return {entry.group(1): entry.group(0) for entry in found}

        _write("tools", compiled("requirements/tools.in"))
        inputs = [part for layer in LAYERS.values() for part in layer]
        whole = compiled(*inputs)
        torch = {name for name in whole if _TORCH.fullmatch(name)}
        _write("torch", {name: whole[name] for name in torch})
        done, inputs = set(torch), []
        for layer, more in LAYERS.items():
            inputs += more
            names = whole if layer == "test" else compiled(*inputs)
            _write(layer, {name: whole[name] for name in names if name not in done})
            done.update(names)
    return 0


def _write(name: str, entries: dict[str, str]) -> None:
    text = _HEAD + "".join(entries[key] for key in sorted(entries))
    (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
