"""The README's pictures of reconstructions: ``python -m Testing.figures.readme_pictures``.

``make pictures`` runs it. It draws a routine pair, reconstructed without and with own poses of the
bones, then runs the demo and takes its overviews; into ``Docs/pictures/``, in true colour and 1600
pixels wide. Cases whose data are absent keep the pictures they have.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from SSRKDLib.cli import main as cli
from SSRKDLib.figures.overview import lying_bones, overview
from SSRKDLib.models.loading import ModelCache, load_model
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.reconstruction.job import Job
from SSRKDLib.surfaces.mesh_files import read_meshes
from Testing.structure.repository import ROOT

OUTPUT = ROOT / "Docs" / "pictures"
WIDTH = 1600


#: The routine pair: a person whom no training has seen, the knee bent more in the lateral view.
PERSON, FLEXION = 20, 20

#: The surfaces that it is reconstructed with, and what the pictures say of them.
ROUTINE = {
    "field": "Before: one rigid knee in both radiographs (--surface field)",
    "fitted": "After: a pose of its own for each bone and radiograph (the default)",
}


def main() -> int:
    """Draw the pictures; returns the demo's exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        draw_routine_pair(Path(scratch) / "routine")
        code = cli.main(["demo", "-o", f"{scratch}/demo"])
        for drawn in sorted(Path(scratch).glob("demo/*/overview.png")):
            _save([drawn], f"{drawn.parent.name}.png")
    return code


def draw_routine_pair(folder: Path) -> None:
    """Simulate a pair between whose views the leg moved; reconstruct and draw it both ways."""
    about = ["--person", str(PERSON), "--flexion", str(FLEXION)]
    if cli.main(["simulate", *about, "-o", str(folder)]):
        raise SystemExit("The routine pair was not simulated.")
    job = Job.read(read_rig(folder / "rig.json"))
    truth = read_meshes(folder / "bones" / "lateral")
    models = ModelCache(load_model)
    drawn = []
    for surface, title in ROUTINE.items():
        result = job.run_with(None, "auto", 1.0, load=models.load, surface=surface)
        drawn.append(folder / f"{surface}.png")
        overview(
            drawn[-1], result.bones, job.exposures, result.frame, title, None, truth,
            lying_bones(result, len(job.exposures)),
        )  # fmt: skip
    _save(drawn, "routine-pair.png")


def _save(drawn: list[Path], name: str) -> None:
    """Pictures one below the other, in true colour."""
    pictures = []
    for path in drawn:
        with Image.open(path) as picture:
            height = round(picture.height * WIDTH / picture.width)
            small = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        pictures.append(small)
    sheet = Image.new("RGB", (WIDTH, sum(picture.height for picture in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    sheet.save(OUTPUT / name, optimize=True)
    print(OUTPUT / name)


if __name__ == "__main__":
    sys.exit(main())
