"""Files that once harmed the program: each must be refused in a sentence, soon, with little memory.

    python -m Testing.fuzz.replay ../shared/inputs/trust [--only KIND]
    python -m Testing.fuzz.replay Testing/fuzz/found

A line per file; exit code 0 only where every one ends as it should. Folders are kinds, as in the
project's shared inputs; a folder that is named after one of :mod:`Testing.fuzz.readers` is read by
it.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from SSRKDLib.core.errors import SSRKDError
from Testing.fuzz.readers import READERS, SAMPLES

#: What reads the files of a folder; more by the beginning of their names.
_READERS = {
    "absurd_calibration": "calibration",
    "absurd_geometry": "label_map",
    "absurd_pixels": "radiograph",
    "bundle_manifest": "bundle",
    "case_files": "case",
    "ct_series": "ct",
    "dicom_memory": "dicom",
    "dicom_traceback": "dicom",
    "file_names": "dicom",
    "image_bombs": "radiograph",
    "info_json": "cohort",
    "mesh_absurd": "mesh",
    "mesh_crash": "mesh",
    "metaimage": "radiograph",
    "other_files": "radiograph",
    "training_checkpoint": "checkpoint",
    "worker_messages": "worker_line",
}

#: Folders whose faults are not in a file; their tests are in Testing/faults.
_TESTED = {"decimal_comma", "evaluation_resume", "output_folder", "poisoned_case"}

#: What is good, or may be read as well as refused. Names that begin so are of good files, too.
_READ = {"ct_series/good"}
SOUND = "sound-"
_MAY_BE_READ = {
    "file_names",
    "bundle_manifest/title_escapes.json",  # listed in a line of its own
}

#: Longest time of the processor and by the clock, s, and most memory beyond the start's, bytes.
SECONDS, CLOCK, MEMORY = 5.0, 30.0, 1 << 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="the kind to replay")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    wrong = count = 0
    with tempfile.TemporaryDirectory(prefix="ssrkd-replay-") as work:
        for kind in sorted(arguments.folder.iterdir()):
            if not kind.is_dir() or arguments.only not in (None, kind.name):
                continue
            if kind.name in _TESTED:
                print(f"     {kind.name}: see Testing/faults")
                continue
            for path in _files(kind, Path(work)):
                name = path.relative_to(path.parents[1]).as_posix()
                count += 1
                may = not {name, kind.name}.isdisjoint(_MAY_BE_READ)
                good = name in _READ or path.name.startswith(SOUND)
                said = ending(READERS[reader_of(path)], path, None if may else good)
                wrong += not said.startswith("ok")
                print(f"{os.fsencode(name).decode('utf-8', 'replace')}: {said}", flush=True)
    print(f"{count - wrong} of {count} files end as they should.")
    return 0 if count and not wrong else 1


def reader_of(path: Path) -> str:
    """Which of the readers a file of a kind is for."""
    kind = path.parent.name
    if kind == "metaimage" and path.name.startswith("ct_"):
        return "ct"
    return _READERS.get(kind, kind)


def ending(read: Callable[[Path], None], path: Path, good: bool | None = False) -> str:
    """How reading a file ends, beginning with ``ok`` where that is right.

    Args:
        good: whether it is to be read; None: it may, or be refused.
    """
    before, busy, start = _most_memory(), _busy(), time.perf_counter()
    try:
        read(path)
    except SSRKDError as error:
        what, sentence = "refused", str(error)
    except Exception as error:  # which is what is looked for
        return f"WRONG, {type(error).__name__}: {' '.join(str(error).split())[:150]}"
    else:
        what, sentence = "read", ""
    seconds, memory = time.perf_counter() - start, _most_memory() - before
    verdict = "ok" if good in (None, what == "read") and "\n" not in sentence else "WRONG"
    if _busy() - busy > SECONDS or seconds > CLOCK or memory > MEMORY:
        verdict = "WRONG"
    return f"{verdict}, {what} in {seconds:.1f} s, {memory >> 20} MB more. {sentence[:220]}".strip()


def _busy() -> float:
    """Processor time of this process and of children that have ended, s."""
    times = os.times()
    return sum(times[:4])


def _most_memory() -> int:
    """Of this process or a child that has ended, bytes."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024


def _files(kind: Path, work: Path) -> list[Path]:
    """The files of a kind, with those that only code can make."""
    folder = work / kind.name
    shutil.copytree(kind, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    if kind.name == "file_names":
        for name in (b"b\xff.dcm", "\u9aa8 -x\n.dcm".encode()):
            shutil.copyfile(SAMPLES / "SSRKD_frontal.dcm", os.fsencode(folder) + b"/" + name)
    if kind.name == "other_files" and hasattr(os, "mkfifo"):
        os.mkfifo(folder / "fifo.raw")
        os.mkfifo(folder / "pipe.dcm")
    maker = folder / "make_bombs.py"
    if maker.is_file():
        import runpy

        before, sys.argv = sys.argv, [str(maker), str(folder)]
        try:
            runpy.run_path(str(maker))
        finally:
            sys.argv = before
    unwanted = {"README.txt", "make_bombs.py", "fifo.raw"}
    return sorted(path for path in folder.iterdir() if path.name not in unwanted)


if __name__ == "__main__":
    sys.exit(main())
