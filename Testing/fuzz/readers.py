"""What reads a file from a stranger, by the kind of file: all that a command does with it before
it computes. Each function takes a path and raises an InputError for what cannot be used."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from SSRKDLib.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "SSRKD" / "Resources" / "SampleData"


@contextmanager
def _placed(path: Path, name: str):
    """A folder of its own in which a copy of the file has another name."""
    with tempfile.TemporaryDirectory(prefix="ssrkd-fuzz-") as folder:
        shutil.copyfile(path, Path(folder) / name)
        yield Path(folder)


def radiograph(path: Path) -> None:
    from SSRKDLib.radiographs.reading import read_radiograph

    read_radiograph(path)


def dicom(path: Path) -> None:
    """As ``rig --frontal``, then as ``reconstruct``."""
    from SSRKDLib.radiographs.dicom_distances import Overrides
    from SSRKDLib.radiographs.reading import read_radiograph
    from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom

    known = Overrides(sdd=1200.0, sod=900.0, pixel_spacing=(0.5, 0.5))
    other = SAMPLES / "SSRKD_lateral.dcm"
    rig_from_dicom(path, other, laterality="L", frontal=known, lateral=known)
    read_radiograph(path)


def ct(path: Path) -> None:
    from SSRKDLib.ct.reading import read_scan

    read_scan(path)


def label_map(path: Path) -> None:
    from SSRKDLib.surfaces.checks import check_surfaces
    from SSRKDLib.surfaces.label_maps import read_reference

    check_surfaces(read_reference(path).meshes, "reference")


def mesh(path: Path) -> None:
    from SSRKDLib.surfaces.checks import check_surfaces
    from SSRKDLib.surfaces.mesh_files import read_meshes

    with _placed(path, f"femur{path.suffix}") as folder:
        check_surfaces(read_meshes(folder), "reference")


def rig(path: Path) -> None:
    from SSRKDLib.radiographs.rig_file import read_rig

    read_rig(path)


def calibration(path: Path) -> None:
    """With the other camera of the knee whose calibration it was made of."""
    from SSRKDLib.radiographs.rig_from_calibration import rig_of_cameras

    other = Path(__file__).with_name("other_camera.txt")
    sizes = [(1760, 1760), (1760, 1760)]
    rig = rig_of_cameras([path, other], sizes, ["intensity", "intensity"])
    if rig.assumptions:
        raise InputError(" ".join(rig.assumptions))


def bundle(path: Path) -> None:
    """A manifest for the shipped tensors, imported into an empty folder and listed."""
    from SSRKDLib.models.loading import import_weights
    from SSRKDLib.weights.archive import TENSORS, read_member
    from SSRKDLib.weights.catalogue import DEFAULT_NAME, find_bundle, list_bundles

    shipped = find_bundle(DEFAULT_NAME)
    tensors = read_member(shipped, TENSORS)
    with _placed(path, "bundle.json") as folder:
        # The manifest's is of another version's tensors.
        text = (folder / "bundle.json").read_bytes()
        digest = f'"sha256": "{hashlib.sha256(tensors).hexdigest()}"'.encode()
        text = re.sub(rb'"sha256": "[0-9a-f]{64}"', digest, text, count=1)
        (folder / "bundle.json").write_bytes(text)
        (folder / TENSORS).write_bytes(tensors)
        before, os.environ["SSRKD_WEIGHTS"] = os.environ.get("SSRKD_WEIGHTS"), str(folder / "user")
        try:
            import_weights([folder])
            assert all(info.title.isprintable() for info in list_bundles())
        finally:
            os.environ.pop("SSRKD_WEIGHTS")
            if before is not None:
                os.environ["SSRKD_WEIGHTS"] = before


def case(path: Path) -> None:
    """One of a prepared case's files; its name begins as the member's."""
    from SSRKDLib.datasets.case_cache import read_box
    from SSRKDLib.datasets.case_folder import CaseFolder

    member = path.name.rpartition("-")[0] or path.name
    with _placed(path, member) as folder:
        found = CaseFolder(folder)
        if member == "case.json":
            found.frame()
            read_box(folder)
        elif member == "sampling.npz":
            found.sampling()
        elif member == "spacing.npz":
            found.spacing()
        else:
            found.projections()


def cohort(path: Path) -> None:
    from SSRKDLib.datasets.splits import read_info

    with _placed(path, "info.json") as folder:
        read_info(folder)


def checkpoint(path: Path) -> None:
    from SSRKDLib.training.checkpoints import networks_of, read_network

    for name in networks_of(path):
        read_network(path, name)


def request(path: Path) -> None:
    """Lines to a worker in this process whose tasks do nothing once a request is one."""
    from SSRKDLib.worker.requests import REQUESTS, checked
    from SSRKDLib.worker.server import Server

    lines = path.read_bytes() + b'\n{"id":"last","do":"describe"}\n'
    tasks = {name: checked(name, lambda request, progress: {}) for name in REQUESTS}
    end, start = os.pipe()
    with os.fdopen(end, "rb", buffering=0) as source, io.BytesIO() as sink:
        writing = threading.Thread(target=_write_all, args=(start, lines))
        writing.start()
        Server(source, sink, tasks, leave=lambda code: None).serve()
        writing.join()
        answers = [json.loads(line) for line in sink.getvalue().splitlines()]
    assert any(answer.get("id") == "last" for answer in answers), "the worker is deaf"
    errors = [answer for answer in answers if answer["event"] == "error"]
    assert not any("Internal error" in error["cause"] for error in errors), errors
    if errors:
        raise InputError(errors[0]["cause"])


def _write_all(handle: int, content: bytes) -> None:
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)


def worker_line(path: Path) -> None:
    """Raises InputError where the worker says so and answers the next line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "SSRKDLib", "worker"], cwd=ROOT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    process.stdin.write(path.read_bytes().rstrip(b"\n") + b'\n{"id":"last","do":"nothing"}\n')
    process.stdin.flush()
    errors = []
    while not errors or errors[-1]["id"] != "last":  # ends with an error where it is deaf
        answer = json.loads(process.stdout.readline())
        errors += [answer] if answer["event"] == "error" else []
    process.communicate()
    if len(errors) > 1:
        raise InputError(errors[0]["cause"])


READERS: dict[str, Callable[[Path], None]] = {
    function.__name__: function
    for function in (
        radiograph, dicom, ct, label_map, mesh, rig, calibration, bundle, case, cohort, checkpoint,
        request, worker_line,
    )
}  # fmt: skip
