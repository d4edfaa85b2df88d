"""Cases for tests of the module: radiographs of shapes whose place is known, as nodes and files."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.geometry.views import Rig
from SSRKDLib.radiographs.exposure import Source, with_sources
from SSRKDLib.radiographs.rig_file import write_rig
from SSRKDLib.surfaces.mesh import Mesh
from Testing.bench import user
from Testing.support.ball_knee import ball, ball_path, write_image

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "SSRKD" / "Resources" / "SampleData"

#: The longest that a job of these tests takes on a slow machine, s.
PATIENCE = 180.0


def waitUntil(condition, what="it"):
    """Let events run until something holds."""
    import slicer

    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen"
        slicer.app.processEvents()
        time.sleep(0.005)
    slicer.app.processEvents()


def settle(panel):
    """Let a job end and the panel follow."""
    import slicer

    slicer.app.processEvents()
    waitUntil(lambda: panel.job is None, "the end of the job")
    slicer.app.processEvents()


def cancelAt(panel, stage, button):
    """Click a button, and Cancel as soon as the job says that it is at a stage; the stages at which
    that happened."""
    listen, seen = panel._onProgress, []

    def hook(at, fraction, message):
        listen(at, fraction, message)
        if at == stage and not seen:
            seen.append(at)
            user.click(panel.ui.reconstructButton)

    panel._onProgress = hook
    user.click(button)
    settle(panel)
    panel._onProgress = listen
    return seen


def ballRadiograph(view):
    """Line integrals of the knee of balls, ``[rows, columns]`` float32."""
    return sum(0.03 * ball_path(view, bone) for bone in BONES).astype(np.float32)


def writeRadiographs(rig: Rig, folder: Path) -> Path:
    """Files of the knee of balls and their rig; returns the rig's path."""
    sources = []
    for view in rig.views:
        write_image(folder / f"{view.name}.nrrd", ballRadiograph(view))
        sources.append(Source(f"{view.name}.nrrd"))
    write_rig(with_sources(rig, sources), folder / "rig.json")
    return folder / "rig.json"


def loadRadiographs(folder: Path):
    """The volume nodes of :func:`writeRadiographs`, as a user loads them."""
    import slicer

    return tuple(
        slicer.util.loadVolume(str(folder / f"{name}.nrrd")) for name in ("frontal", "lateral")
    )


def loadSampleFiles():
    """The sample's two DICOM files, loaded as files."""
    import slicer

    return tuple(
        slicer.util.loadVolume(str(SAMPLES / f"SSRKD_{name}.dcm"), {"singleFile": True})
        for name in ("frontal", "lateral")
    )


def sampleTruth() -> dict[str, Mesh]:
    """The sample's true bones, LPS mm."""
    from SSRKDLib.surfaces.mesh_files import read_mesh

    return {bone: read_mesh(SAMPLES / f"SSRKD_truth_{bone}.ply") for bone in BONES}


def ballMeshes() -> dict[str, Mesh]:
    from Testing.support.ball_knee import BALLS

    return {bone: ball(*BALLS[bone]) for bone in BONES}


def writeCalibration(path: Path, view) -> None:
    """A view with a perpendicular detector as a file of camera matrix, rotation, translation."""
    sdd = view.source_to_detector_distance
    rotation = np.stack([view.column_direction, view.row_direction, view.normal])
    foot = rotation[:2] @ (view.source + sdd * view.normal - view.detector_origin)
    spacing = np.array(view.pixel_spacing)
    matrix = np.eye(3)
    matrix[[0, 1], [0, 1]] = sdd / spacing
    matrix[:2, 2] = foot / spacing
    blocks = {
        "image size": [view.size],
        "camera matrix": matrix,
        "rotation": rotation,
        "translation": (-rotation @ view.source)[:, None],
    }
    text = ""
    for title, rows in blocks.items():
        text += title + "\n" + "\n".join(",".join(f"{x:.12g}" for x in r) for r in rows) + "\n\n"
    path.write_text(text)
