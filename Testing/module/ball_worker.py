"""A worker that answers at once, with balls for bones that moved, or did not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import qt
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.radiographs.rig_file import described, read_rig
from SSRKDLib.reconstruction.choices import pose_sentence
from SSRKDLib.surfaces.mesh_files import write_mesh
from Testing.module.cases import ballMeshes
from Testing.support.ball_knee import BALLS

SAID = ["The knee is bent 22 degrees more in the lateral view."]


def motion(bone):
    """From where a ball lay in the frontal radiograph to where in the lateral one, 4x4."""
    matrix = np.eye(4)
    number = 1 + BONES.index(bone)
    matrix[:3, :3] = Rotation.from_rotvec([0.1 * number, 0.05, -0.02]).as_matrix()
    matrix[:3, 3] = [2.0 * number, -4.0, 3.0 * number]
    return matrix


def lay(bone, view):
    """The middle of a ball in the pose of a radiograph, LPS mm; it was BALLS in the frontal one."""
    place = np.append(BALLS[bone][0], 1.0)
    return (place if view == "frontal" else motion(bone) @ place)[:3]


def answer(request, moved=True, order=("frontal", "lateral"), mirrored=False):
    """What the worker answers: balls that moved, or did not, between radiographs in this order, and
    whether it found the lateral one mirrored."""
    if request["do"] == "locate":
        return {"regions": [[60, 150, 220, 260], None], "notes": ["Something else."]}
    pose = request["pose"]
    output = Path(request["output"])
    output.mkdir()
    toLateral = {bone: motion(bone) if moved else np.eye(4) for bone in BONES}
    back = {bone: np.linalg.inv(matrix) for bone, matrix in toLateral.items()}
    for bone, mesh in ballMeshes().items():
        shown = toLateral[bone] if pose == "lateral" else np.eye(4)
        scalars = {"uncertainty_mm": np.linspace(0.5, 2.0, len(mesh.vertices))}
        write_mesh(output / f"{bone}.ply", mesh.transformed(shown), scalars=scalars)
    here, there = {b: np.eye(4) for b in BONES}, back if pose == "lateral" else toLateral
    poses = {pose: here, "frontal" if pose == "lateral" else "lateral": there}
    rig = read_rig(request["rig"])
    if mirrored:
        rig = replace(rig, views=(rig.views[0], rig.views[1].reversed(True, False)))
    report = {
        "weights": "balls", "weights_sha256": "0" * 64, "device": "cpu", "laterality": "L",
        "spacing_mm": 1.0, "surface": "fitted", "radiographs": [],
        "rig": described(rig),
        "warnings": [*([*SAID, pose_sentence(pose)] if moved else []), "Something else."],
        "views": {name: index for index, name in enumerate(order)},
        "pose": pose if moved else None,
        "poses": {v: {b: m.tolist() for b, m in by.items()} for v, by in poses.items()}
        if moved else {},
        "motion": {"moved": moved, "ratio": 1.4 if moved else 1.0, "sentences": SAID * moved},
        "bones": {
            bone: {"found": True, "volume_mm3": 1e4, "agreement": {"frontal": 0.9, "lateral": 0.9}}
            for bone in BONES
        },
    }  # fmt: skip
    return {"report": report}


def install(core):
    """Give a panel this worker; ``core.asked`` are then the requests, ``core.how`` the answers
    (arguments of :func:`answer`, and ``progress``, a share that is told before it)."""
    from SSRKDSlicer.worker.worker_job import Job

    core.how, core.asked = {}, []

    def submit(request, onProgress=None, onDone=None, onFailed=None):
        core.asked.append(request)
        how = dict(core.how)
        share = how.pop("progress", None)
        cancelled = SimpleNamespace(cancel=lambda job: job.failed(None))
        job = Job(cancelled, 0, onProgress, onDone, onFailed)

        def work():
            if share is not None:
                job.progress("field", share, "")
            if not job.finished:
                job.done(answer(request, **how))

        qt.QTimer.singleShot(0, work)
        return job

    # Not the shared worker's own: other tests' panels use that.
    core.tasks.worker = SimpleNamespace(submit=submit, refused=core.tasks.worker.refused)
