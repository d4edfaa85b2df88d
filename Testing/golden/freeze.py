"""Freeze the results: run the commands as a user does and keep all that they write.

Before a change and after it, from the root of the repository::

    python Testing/golden/freeze.py runs/golden/before --inputs runs/golden/inputs
    python Testing/golden/freeze.py runs/golden/after --inputs runs/golden/inputs
    python Testing/golden/compare.py runs/golden/before runs/golden/after

INPUTS is made by the first run and reused by all later ones: radiographs that are simulated again
would show the joint elsewhere once its centre is defined otherwise, and a network that is trained
again is another network. ``--only sample`` runs the items whose names begin so; ``--tree PATH``
runs the code of another checkout. About 5 minutes on a core that is free, 3 more for INPUTS.

Both runs belong on the same computer: another one rounds otherwise, which moved single points of a
femur's cut end by up to 0.05 mm. The same computer gives the same bytes.

OUTPUT gets a folder per item with what its commands wrote and ``log.txt`` (commands, exit codes,
what they printed), and ``items.json``: per item its exit codes, and under ``failed`` the exit code
and stderr of those that failed. ``summary.json`` holds the measures of the sample knees: copied to
``Testing/golden/summary.json`` it is what ``make test`` compares with.

Only public commands are run, on the CPU with one thread, so that this script works unchanged when
modules move. What no command makes is in :func:`Testing.golden.inputs.make_published`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from Testing.golden.inputs import (  # noqa: E402
    CASE,
    KNEES,
    PATIENCE,
    RIGS,
    environment,
    fingerprint,
    make_inputs,
    run_python,
)
from Testing.golden.surfaces import measures, read_surface  # noqa: E402

#: Distances and pixel of the rig "orthogonal", mm, as ``rig --images`` is given them.
PLAIN = ("--sdd", 1200, "--sod", 900, "--spacing", 1.171875, "--angle", 0, 90)

#: Prepared cases small enough for a test.
SMALL = ("--size", 64, "--detector", 128, "--angles", 5, "--workers", 0,
         "--surface-points", 2000, "--uniform-points", 5000)  # fmt: skip

#: Items whose surfaces ``summary.json`` describes.
SAMPLES = ("sample-radiographs", "sample-ct")
BONES = ("patella", "femur", "fibula", "tibia")

LOG, ITEMS, SUMMARY = "log.txt", "items.json", "summary.json"


class Item:
    """One item: runs its commands, keeps their exit codes and what they print.

    Attributes:
        folder: where its results go.
        weights: the folder of imported weights that its commands see.
        codes: exit codes so far.
        complaint: stderr of the first command that failed.
    """

    def __init__(self, tree: Path, folder: Path) -> None:
        self.tree, self.folder = tree, folder
        self.weights = folder / "weights"
        self.codes: list[int] = []
        self.complaint = ""
        folder.mkdir()

    def command(self, *arguments: object) -> None:
        """Run ``python -m SSRKDLib`` with arguments."""
        done = run_python(
            self.tree, ["-m", "SSRKDLib", *arguments], SSRKD_WEIGHTS=str(self.weights)
        )
        self.note(arguments, done.returncode, done.stdout, done.stderr)

    def note(self, what: Sequence[object], code: int, out: str, err: str) -> None:
        """Write a command into the log."""
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(map(str, what))}\nexit code {code}\n{out}\n{err}\n")
        self.codes.append(code)
        if code and not self.complaint:
            self.complaint = err

    @contextmanager
    def worker(self) -> Iterator[Callable[..., dict]]:
        """A worker process; gives a function that runs one of its tasks and returns the result."""
        process = subprocess.Popen(
            [sys.executable, "-m", "SSRKDLib", "worker"],
            cwd=self.tree,
            env={**environment(self.tree), "SSRKD_WEIGHTS": str(self.weights)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )

        def run(task: str, **request: object) -> dict:
            message = {"id": len(self.codes) + 1, "do": task, **request}
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                event = json.loads(line)
                if event.get("event") in ("result", "error", "cancelled"):
                    failed = event["event"] != "result"
                    self.note(("worker", task), int(failed), "", line if failed else "")
                    text = json.dumps(event.get("result", event), indent=1)
                    (self.folder / f"{len(self.codes)}-{task}.json").write_text(text)
                    return event.get("result", {})
            self.note(("worker", task), process.wait(), "", "The worker ended.")
            return {}

        try:
            yield run
        finally:
            process.stdin.close()
            process.wait(PATIENCE)
            process.stdout.close()


def edited_mask(item: Item, inputs: Path) -> None:
    """Segment, move the masks of the first view by three columns, reconstruct with them, compare:
    as the module in Slicer does it, by the worker's protocol."""
    case, out = inputs / "cases" / CASE, item.folder
    about = {"rig": str(case / "rig.json"), "weights": None, "device": "cpu"}
    with item.worker() as run:
        found = run("segment", **about, output=str(out / "masks"))
        if not found:
            return
        mask = np.roll(np.load(found["masks"][0]), 3, axis=2)
        np.save(out / "edited.npy", mask)
        masks = [str(out / "edited.npy"), None]
        run(
            "reconstruct",
            **about,
            masks=masks,
            output=str(out / "bones"),
            spacing=1.0,
            surface="field",
        )
        run("compare", recon=str(out / "bones"), reference=str(case / "truth"), align="none",
            laterality="L", rig=about["rig"], output=str(out / "distances"))  # fmt: skip


def keep_manifests(folder: Path) -> None:
    """Replace bundles by their manifests, which hold the checksum of the tensors."""
    for path in folder.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            path.with_suffix(".json").write_bytes(archive.read("bundle.json"))
        path.unlink()


def all_items(tree: Path, output: Path, inputs: Path) -> dict[str, Callable[[Item], None]]:
    """What is frozen, by name; later items may use the results of earlier ones."""
    samples = tree / "SSRKD" / "Resources" / "SampleData"
    films = ("--frontal", samples / "SSRKD_frontal.dcm", "--lateral", samples / "SSRKD_lateral.dcm")
    scan, labels = samples / "SSRKD_CT.nrrd", samples / "SSRKD_CT.seg.nrrd"
    cases, variants, published = inputs / "cases", inputs / "variants", inputs / "published"
    tiny, cpu = inputs / "tiny" / "tiny.zip", ("--device", "cpu")
    # Checkouts from before the fit know nothing but the field's surfaces.
    fits = (tree / "SSRKDLib" / "reconstruction" / "fitting").is_dir()
    field = ("--surface", "field") if fits else ()

    def commands(*several: Sequence[object]) -> Callable[[Item], None]:
        """Each command ends with the folder or file that it writes (None: it writes nothing)."""

        def run(item: Item) -> None:
            for *arguments, target in several:
                where = () if target is None else ("-o", item.folder / target)
                item.command(*arguments, *where)

        return run

    def reconstruct(*arguments: object) -> Callable[[Item], None]:
        chosen = () if "--ct" in arguments else field
        return commands(("reconstruct", *arguments, *chosen, *cpu, "bones"))

    def plain(item: Item) -> None:
        images = (variants / "counts.png", variants / "grey.png")
        values = ("--values", "intensity", "display_inverted")
        rig = item.folder / "rig.json"
        item.command("rig", "--images", *images, *PLAIN, *values, "--side", "L", "-o", rig)
        item.command("reconstruct", rig, *field, *cpu, "-o", item.folder / "bones")

    def weights(item: Item) -> None:
        for arguments in (
            ("verify", "virtual-knee"), ("import", published / "bone_seg.pth"), ("import", tiny),
            ("list",), ("verify",),
        ):  # fmt: skip
            item.command("weights", *arguments)
        keep_manifests(item.folder)

    truth = {knee: cases / f"{knee}_orthogonal" / "truth" for knee in KNEES}
    small = (*SMALL, "--seed", 5)
    return {
        "sample-radiographs": commands(
            ("rig", *films, "rig.json"), ("reconstruct", *films, *field, *cpu, "bones")
        ),
        "sample-ct": reconstruct("--ct", scan),
        "fitted": commands(("reconstruct", *films, *cpu, "bones")),
        **{
            f"held-out-{knee}_{rig}": reconstruct(cases / f"{knee}_{rig}" / "rig.json")
            for knee in KNEES
            for rig in RIGS
        },
        "plain-images": plain,
        "side-unknown": reconstruct(variants / "no_side.json"),
        "pose-unknown": reconstruct(variants / "no_pose.json"),
        "edited-mask": lambda item: edited_mask(item, inputs),
        "exported-radiographs": reconstruct(
            cases / CASE / "rig.json", "--weights", tiny, "--spacing", 2
        ),
        "exported-ct": reconstruct("--ct", scan, "--weights", tiny),
        "published-radiographs": reconstruct(
            cases / CASE / "rig.json", "--weights", published / "small", "--spacing", 2
        ),
        "published-ct": reconstruct(
            "--ct", published / "bands.nrrd", "--weights", published / "bands.zip"
        ),
        "compare": commands(
            ("compare", output / f"held-out-{CASE}" / "bones", truth[KNEES[0]],
             "--rig", cases / CASE / "rig.json", "as-they-lie"),
            ("compare", truth[KNEES[2]], truth[KNEES[0]], "--side", "L", "--align", "all", "moved"),
            ("compare", output / "sample-ct" / "bones", labels, "--align", "bone", "labels"),
        ),
        "evaluate": commands(
            ("evaluate", variants / "evaluated", *cpu, "--spacing", 2, "--processes", 1, "tables")
        ),
        "simulate": commands(
            ("simulate", "--person", 20, "person"),
            ("simulate", "--ct", scan, "--side", "R", "--preset", "c_arm", "--noise-free", "ct"),
            ("simulate", "--meshes", truth[KNEES[1]], "--preset", "oblique", "--seed", 3, "meshes"),
        ),
        "prepare": commands(
            ("prepare", "--virtual", 2, *small, "virtual"),
            ("prepare", variants / "ct", "--side", "R", "--extent", 200, *small, "ct"),
        ),
        "weights": weights,
    }  # fmt: skip


def summary(output: Path) -> dict[str, dict]:
    """Area, volume and extent of the bones of the sample knees that were reconstructed."""
    return {
        item: {
            bone: measures(read_surface(output / item / "bones" / f"{bone}.ply"))
            for bone in BONES
            if (output / item / "bones" / f"{bone}.ply").is_file()
        }
        for item in SAMPLES
        if (output / item).is_dir()
    }


def freeze(tree: Path, output: Path, inputs: Path, only: Sequence[str] = ("",)) -> list[str]:
    """Run the items whose names begin with one of ``only``; the names of those that failed."""
    record = {"inputs": fingerprint(inputs), "items": {}, "failed": {}}
    for name, run in all_items(tree, output, inputs).items():
        if not name.startswith(tuple(only)):
            continue
        start, item = time.perf_counter(), Item(tree, output / name)
        run(item)
        took = round(time.perf_counter() - start, 1)
        record["items"][name] = {"exit_codes": item.codes, "seconds": took}
        if any(item.codes):
            code = next(code for code in item.codes if code)
            record["failed"][name] = {"exit_code": code, "stderr": item.complaint}
        print(f"{name}: {took} s{', FAILED' if any(item.codes) else ''}", flush=True)
    (output / ITEMS).write_text(json.dumps(record, indent=1) + "\n")
    (output / SUMMARY).write_text(json.dumps(summary(output), indent=1) + "\n")
    return list(record["failed"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="a new or empty folder")
    parser.add_argument("--inputs", type=Path, required=True, help="made where it is not there yet")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout whose code is run")
    parser.add_argument("--only", nargs="+", default=[""], help="items whose names begin so")
    arguments = parser.parse_args()
    tree, output, inputs = (
        path.resolve() for path in (arguments.tree, arguments.output, arguments.inputs)
    )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        print(f"error: '{output}' is there already. Give a new folder.", file=sys.stderr)
        return 2
    make_inputs(tree, inputs)
    output.mkdir(parents=True, exist_ok=True)
    failed = freeze(tree, output, inputs, arguments.only)
    if failed:
        print(f"Failed: {', '.join(failed)}; see {output / ITEMS}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
