"""Files as others write them: run the program on each and say whether what comes out is right.

    python -m Testing.replay ../shared/inputs/public [NUMBER ...]

A line per case: what is expected and what was got. A case is right where the result is, or where
the file is refused with its true cause. Exit code 0 only where all are.
"""

from __future__ import annotations

import csv
import io
import os
import re
import runpy
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

from SSRKDLib.cli import main as cli
from SSRKDLib.ct.reading import read_scan
from SSRKDLib.radiographs.rig_file import read_rig

BONES = ("patella", "femur", "fibula", "tibia")

#: Volumes of the reconstruction that cases are compared with, cm3.
VOLUMES = {"patella": 20.7, "femur": 227.9, "fibula": 17.7, "tibia": 194.3}


class Wrong(Exception):
    """What came out is not what is expected."""


class Case:
    """A folder of inputs, and a place for what comes out."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder, self.work = folder, work
        self.truth = folder.parent / "00-reconstruction"
        self.said = ""

    def __truediv__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            raise Wrong(f"{path} is missing")
        return path

    def run(self, *arguments: object) -> int:
        """The exit code of a command; what it said is kept."""
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            code = cli.main([str(argument) for argument in arguments])
        self.said += out.getvalue()
        return code

    def must(self, *arguments: object) -> None:
        if self.run(*arguments) != 0:
            raise Wrong(self.said.strip().splitlines()[-1])

    def mentions(self, *patterns: str) -> None:
        for pattern in patterns:
            if not re.search(pattern, self.said, re.IGNORECASE):
                raise Wrong(f"nothing is said of '{pattern}'")

    def compared(
        self, recon: Path, reference: Path, limit: float, dice: float = 0.0, *options: str,
        bones: tuple[str, ...] = BONES, mean: bool = False,
    ) -> str:  # fmt: skip
        """Compare; every one of ``bones`` (or their mean) must be nearer than ``limit``, mm; the
        others are only named."""
        out = self.work / f"compared-{len(list(self.work.iterdir()))}"
        self.must("compare", recon, reference, "-o", out, *options)
        with (out / "compare.csv").open() as stream:
            rows = {row["bone"]: row for row in csv.DictReader(stream) if row["bone"] in BONES}
        found = {bone: rows.get(bone, {}).get("assd_mm") or "nan" for bone in bones}
        distances = np.array([float(value) for value in found.values()])
        overlaps = np.array([float(rows.get(bone, {}).get("dsc") or "nan") for bone in bones])
        worst = distances.mean() if mean else distances.max()
        got = f"ASSD {'mean' if mean else 'up to'} {worst:.2f} mm, Dice from {overlaps.min():.3f}"
        if not (worst <= limit and (overlaps.mean() if mean else overlaps.min()) >= dice):
            raise Wrong(got)
        for bone in set(BONES & rows.keys()) - set(bones):
            got += f"; not judged: {bone} {float(rows[bone]['assd_mm'] or 'nan'):.2f} mm"
        return got

    def rig(self, folder: str, *options: str):
        path = self.work / "rig.json"
        self.must(
            "rig", "--frontal", self / folder / "ap.dcm", "--lateral", self / folder / "lat.dcm",
            *options, "-o", path,
        )  # fmt: skip
        return read_rig(path)

    def reconstructed(self, folder: str, *options: str) -> Path:
        out = self.work / "reconstructed"
        self.must(
            "reconstruct", "--frontal", self / folder / "ap.dcm",
            "--lateral", self / folder / "lat.dcm", "--spacing", "2", *options, "-o", out,
        )  # fmt: skip
        return out

    def volumes(self) -> dict[str, float]:
        """Of the bones that were reconstructed last, cm3."""
        found = re.findall(r"(\w+) ([\d.]+) cm3", self.said)
        return {bone: float(value) for bone, value in found[-len(BONES) :]}

    def refused(self, *patterns: str) -> str:
        self.mentions(*patterns)
        sentence = next(line for line in self.said.splitlines() if line.startswith("error: "))
        if re.search(r"\.(cxx|cpp|hxx)|internal error|damaged", sentence):
            raise Wrong(f"a cause that is not the true one: {sentence}")
        return f"refused: {sentence[7:90]}..."


CASES: dict[str, tuple[str, Callable[[Case], str]]] = {}


def case(number: str, expected: str):
    def add(function: Callable[[Case], str]):
        CASES[number] = (expected, function)
        return function

    return add


def references(
    number: str, expected: str, place: str, limit=0.25, dice=0.97, *options: str, **more
):
    """A case that is a reference of the reconstruction."""
    says = more.pop("says", ())

    @case(number, expected)
    def check(case: Case) -> str:
        got = case.compared(case.truth, case / place, limit, dice, *options, **more)
        case.mentions(*says)
        return got


references("01", "four bones of a folder of masks", "L1")
references("02", "a segment per component", "L4/old.seg.nrrd")
references("03", "labels rounded", "L8/float.nii.gz")
references("04", "the sheared grid is read", "L6b/rounded.nii.gz")
references("07", "the compressed file is read", "L7/seg.nii")
references("09", "unjoined triangles joined", "M3b", 0.05, 0.99)
references("10", "legacy VTK is read", "M12", 0.05, 0.99)
references("12", "the long name is read", "M6s", 0.05, 0.99, bones=("patella",))
references("13", "French names", "M9b", 0.05, 0.99, bones=("patella", "fibula", "tibia"))
references("34", "names of labels.csv", "L14/case.nii.gz")


@case("05", "the left leg is taken, said")
def _(case: Case) -> str:
    place = case / "L13/both_legs.nii.gz"
    got = case.compared(case.truth, place, 0.25, 0.97, "--align", "none")
    got = case.compared(case.truth, place, 0.25, 0.97, "--align", "all") and got
    case.mentions("left out")
    return got


@case("06", "refused: the values are not those of the four bones")
def _(case: Case) -> str:
    case.run("compare", case.truth, case / "L2/appendicular_bones.nii.gz", "-o", case.work / "out")
    return case.refused("no names")


@case("08", "RAS is turned to LPS")
def _(case: Case) -> str:
    case.compared(case.truth, case / "M1", 0.05, 0.99)
    return case.compared(case.truth, case / "M1d", 0.05, 0.99)


def spaced(number: str, folder: str, *says: str):
    @case(number, "2.34375 mm, said")
    def check(case: Case) -> str:
        rig = case.rig(folder)
        case.mentions(*says)
        spacings = {round(mm, 5) for view in rig.views for mm in view.pixel_spacing}
        if spacings != {2.34375}:
            raise Wrong(f"spacings {spacings}")
        return "2.34375 mm"


spaced("14", "D01", "comma")
spaced("15", "D07", "one value")
spaced("16", "D09", "0018,7022")


def distant(number: str, folder: str, sdd: float, sod: float, *says: str):
    @case(number, f"SDD {sdd:g}, SOD {sod:g} mm, said")
    def check(case: Case) -> str:
        view = case.rig(folder).views[0]
        case.mentions(*says)
        source = float(np.linalg.norm(view.source))
        found = source, source + float(view.detector_centre @ view.axis)
        if not np.allclose(found, (sod, sdd), atol=1):
            raise Wrong(f"SOD, SDD {found}")
        return f"SDD {found[1]:g}, SOD {found[0]:g} mm"


distant("17", "D02", 1150.0, 1100.0, "impossible|not used")
distant("18", "D03", 1200.0, 900.0, "centimetres")


@case("19", "a left knee")
def _(case: Case) -> str:
    side = case.rig("D20").laterality
    if side != "L":
        raise Wrong(f"side {side}")
    return f"side {side}"


@case("20", "AP and lateral recognised, exchanged files noticed")
def _(case: Case) -> str:
    rig = case.rig("D18")
    if "no view position" in case.said.lower():
        raise Wrong("no view position is said to be there")
    axes = [np.abs(view.axis).argmax() for view in rig.views]
    if axes != [1, 0]:
        raise Wrong(f"views along the axes {axes}")
    case.must(
        "rig", "--frontal", case / "D18/lat.dcm", "--lateral", case / "D18/ap.dcm",
        "-o", case.work / "exchanged.json",
    )  # fmt: skip
    case.mentions("exchanged")
    return "recognised"


@case("21", "read")
def _(case: Case) -> str:
    return case.compared(case.reconstructed("D06c"), case.truth, 1.0, 0.9, mean=True)


@case("22", "read")
def _(case: Case) -> str:
    return case.compared(case.reconstructed("X18"), case.truth, 1.0, 0.9, mean=True)


def calibrated(number: str, folder: str, ending: str = "txt", *says: str):
    @case(number, "sources [10, -1295, 20], [-1115.8, -645, 20]")
    def check(case: Case) -> str:
        place, path = case / folder, case.work / "rig.json"
        options = []
        for k in (1, 2):
            options += ["--calibration", place / f"cam{k}.{ending}", place / f"image{k}.png"]
        case.must("rig", *options, "-o", path)
        case.mentions(*says)
        found = [view.source for view in read_rig(path).views]
        if not np.allclose(found, [[10, -1295, 20], [-1115.8, -645, 20]], atol=1.0):
            raise Wrong(f"sources {np.round(found, 1).tolist()}")
        return "both sources"


calibrated("23", "C3")
calibrated("24", "C1", "csv")
calibrated("25", "C7", "txt", "centimetres")
calibrated("26", "C5")


def scanned(number: str, expected: str, folder: str, *says: str, refusal: tuple[str, ...] = ()):
    @case(number, expected)
    def check(case: Case) -> str:
        out = case.work / "from-ct"
        code = case.run("reconstruct", "--ct", case / folder, "-o", out)
        if code == 2 and refusal:
            return case.refused(*refusal)
        if code != 0:
            raise Wrong(case.said.strip().splitlines()[-1])
        case.mentions(*says)
        return case.compared(out, case.truth, 1.0, 0.9, mean=True)


@case("27", "slices where their positions say, the tilt said")
def _(case: Case) -> str:
    step = read_scan(case / "T1").index_to_lps[:3, 2]
    if not np.allclose(step, [0, 0, 3], atol=1e-3):
        raise Wrong(f"slices {step} mm apart")
    out = case.work / "from-ct"
    case.must("reconstruct", "--ct", case / "T1", "-o", out)
    case.mentions("tilted by 15")
    return case.compared(out, case.truth, 1.4, 0.85)


scanned("28", "true positions, or refused by name", "T2", "slices", refusal=("mm apart|missing",))
scanned("29", "the nested series is found", "T4")
scanned("31", "one of two, said", "T3s", "twice", refusal=("2 studies",))


@case("32", "the padding is no part of the field")
def _(case: Case) -> str:
    return case.compared(case.reconstructed("X2"), case.truth, 1.0, 0.9, mean=True)


@case("33", "bone is dark in the stored values, said")
def _(case: Case) -> str:
    got = case.compared(case.reconstructed("X9v"), case.truth, 1.0, 0.9, mean=True)
    case.mentions("dark")
    return got


@case("36", "the left knee, within 5 % of its size")
def _(case: Case) -> str:
    case.reconstructed("X11")
    case.mentions("both knees")
    found = case.volumes()
    # A fibula also comes out 8 % too large of this person's film of one knee, which is no matter
    # of the film of both: it is measured against that.
    alone = Case(next(case.folder.parent.glob("22-*")), case.work)
    alone.reconstructed("X18")
    wanted = {**VOLUMES, "fibula": alone.volumes()["fibula"]}
    off = {bone: found.get(bone, 0) / wanted[bone] - 1 for bone in BONES}
    got = "volumes off by " + ", ".join(
        f"{bone} {100 * share:+.1f} %" for bone, share in off.items()
    )
    got += f" (against that of a film of one knee, {wanted['fibula']:.1f} cm3)"
    if any(abs(share) > 0.05 for share in off.values()):
        raise Wrong(got)
    return got


@case("37", "both facings tried")
def _(case: Case) -> str:
    got = case.compared(case.reconstructed("D36"), case.truth, 0.5, 0.9, mean=True)
    case.mentions("anterior|facing|orientation")
    return got


@case("38", "read, or what is different is named")
def _(case: Case) -> str:
    before = os.getcwd()
    os.chdir(case.work)
    try:
        runpy.run_path(str(case / "make.py"))
    finally:
        os.chdir(before)
    got = []
    for file in sorted((case.work / "wt").iterdir()):
        case.said, os.environ["SSRKD_WEIGHTS"] = "", str(case.work / file.stem)
        code = case.run("weights", "import", file)
        if code == 2 and file.stem != "onlyA":
            raise Wrong(f"{file.name}: {case.said.strip()}")
        if code == 2:
            case.refused("contains two networks, A and B; it contains 1")
        got.append(f"{file.stem} {'read' if code == 0 else 'refused'}")
    return ", ".join(got)


@case("39", "a slot scanner's pair, within 1 mm")
def _(case: Case) -> str:
    case.must(
        "reconstruct", "--frontal", case / "E1/ap.dcm", "--lateral", case / "E1/lat.dcm",
        "--spacing", "2", "-o", case.work / "out",
    )  # fmt: skip
    return case.compared(case.work / "out", case.truth, 1.0, 0.9, mean=True)


def main(arguments: list[str]) -> int:
    inputs, wanted = Path(*arguments[:1]).absolute(), arguments[1:]
    if not any(any(inputs.glob(f"{number}-*")) for number in CASES):
        print(
            f"There is none of the cases 01-... to 39-... in '{inputs}'. Give the folder of the "
            "shared data that holds them: python -m Testing.replay ../shared/inputs/public"
        )
        return 2
    wrong = 0
    for number, (expected, check) in sorted(CASES.items()):
        if wanted and number not in wanted:
            continue
        folder = next(inputs.glob(f"{number}-*"), None)
        if folder is None:
            print(f"{'missing':8}{number}")
            wrong += 1
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                verdict, got = "ok", check(Case(folder, Path(work)))
            except Wrong as error:
                verdict, got = "WRONG", str(error)
        wrong += verdict != "ok"
        print(f"{verdict:8}{folder.name:34} expected: {expected}; got: {got}", flush=True)
    print(f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
