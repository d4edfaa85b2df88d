"""The folders that the worker's tasks write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.geometry.known import Known
from SSRKDLib.radiographs.rig_file import read_rig, rig_from_dict, write_rig
from SSRKDLib.reconstruction import finding
from SSRKDLib.reconstruction.result_folder import RECONSTRUCTION
from SSRKDLib.simulation.writing import SIMULATION
from SSRKDLib.surfaces.mesh_files import write_mesh
from SSRKDLib.worker.tasks import DISTANCES, SEGMENTATION, all_tasks
from Testing.support.ball_knee import BALLS, BallModel, ball, write_ball_case
from Testing.support.command_checks import tree, write_earlier_result


def test_tasks_say_how_the_radiographs_lie(tmp_path, monkeypatch):
    """A lateral radiograph that the rig only takes to lie one way round, and lies the other."""
    path = write_ball_case(tmp_path / "case")
    true = read_rig(path)
    model = BallModel(true)
    monkeypatch.setattr("SSRKDLib.models.loading.ModelCache.load", lambda *_: model)
    lateral = replace(true.views[1].reversed(True, False), known=Known(orientation="assumed"))
    write_rig(replace(true, views=(true.views[0], lateral)), path)

    def locate(pair, *others):
        right = np.allclose(pair[1].view.detector_origin, true.views[1].detector_origin)
        return (
            locate_it(pair, *others)
            if right
            else SimpleNamespace(agreement=0.4, misfit=1.0, good=False)
        )

    locate_it = finding.locate
    monkeypatch.setattr(finding, "locate", locate)
    for task in ("reconstruct", "segment"):
        request = {"rig": str(path), "output": str(tmp_path / task), "spacing": 2.0}
        answer = all_tasks()[task](request, lambda *_: None)
        answer = answer.get("report", answer)
        found = rig_from_dict(answer["rig"]).views[1]
        np.testing.assert_allclose(found.detector_origin, true.views[1].detector_origin, atol=1e-9)
        assert any("as mirrored" in sentence for sentence in answer["warnings"])
    answer = all_tasks()["locate"]({**request, "output": str(tmp_path / "none")}, lambda *_: None)
    assert any("as mirrored" in sentence for sentence in answer["notes"])
    assert not (tmp_path / "none").exists()
    for (left, top, columns, rows), view in zip(answer["regions"], true.views):
        column, row = view.project(np.zeros(3))
        assert left < column < left + columns and top < row < top + rows


def test_tasks_replace_only_what_they_wrote(tmp_path, monkeypatch):
    model = BallModel(read_rig(write_ball_case(tmp_path / "case")))
    monkeypatch.setattr("SSRKDLib.models.loading.load_model", lambda *_: model)
    for name in ("recon", "reference"):
        (tmp_path / name).mkdir()
        for bone, about in BALLS.items():
            write_mesh(tmp_path / name / f"{bone}.ply", ball(*about))
    known, out = all_tasks(), tmp_path / "out"
    requests = {
        "reconstruct": {"spacing": 2.0}, "segment": {}, "simulate": {},
        "compare": {"align": "none", "laterality": "L"},
    }  # fmt: skip
    shared = {"rig": tmp_path / "case" / "rig.json", "ct": tmp_path / "none"}
    shared |= {"recon": tmp_path / "recon", "reference": tmp_path / "reference"}
    shared = {key: str(path) for key, path in shared.items()}

    def run(task: str, output: Path) -> None:
        known[task]({**shared, **requests[task], "output": str(output)}, lambda *_: None)

    kinds = dict(zip(requests, (RECONSTRUCTION, SEGMENTATION, SIMULATION, DISTANCES)))
    for task, kind in kinds.items():
        with replaced_folder(out / task, kind) as folder:
            (folder / "file").write_text("of before")
    before = tree(out)
    for task in requests:
        for other in set(requests) - {task}:
            with pytest.raises(OutputError, match="another kind"):
                run(task, out / other)
    assert tree(out) == before
    write_earlier_result(tmp_path / "earlier")
    before = tree(tmp_path / "earlier")
    for task in ("segment", "simulate", "compare"):
        with pytest.raises(OutputError, match="contains other things"):
            run(task, tmp_path / "earlier")
    assert tree(tmp_path / "earlier") == before
