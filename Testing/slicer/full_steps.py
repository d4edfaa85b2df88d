"""Steps that need PyTorch: reconstruction from radiographs and from a CT, simulation, Cancel."""

from __future__ import annotations

import numpy as np

from Testing.slicer.scenes import bones_by_truth, sample, truth
from Testing.slicer.session import Session, needs_torch

#: Mean distance to the true surfaces that a reconstruction of the sample may have, mm.
_LARGEST = 1.2

#: Stages of a reconstruction, in each of which it is cancelled once.
_STAGES = ("read", "load", "locate", "segment", "encode", "fit", "check", "write")


def segment(session: Session) -> str:
    needs_torch()
    session.clear()
    sample(session)
    session.click(session.ui.segmentButton)
    session.settle()
    masks = session.panel.case().masks
    assert all(masks), session.status()
    return session.status()


def reconstruct(session: Session) -> str:
    from SSRKDLib.evaluation.metrics import compare_meshes
    from SSRKDLib.evaluation.regions import region_around
    from SSRKDLib.surfaces.knee import joint_centre
    from SSRKDSlicer.radiographs.outlines import worldMesh

    needs_torch()
    sample(session)
    session.click(session.ui.reconstructButton)
    session.settle()
    models = session.panel.case().models
    assert len(models) == 4, session.status()
    bones = truth(session)
    made = {bone: worldMesh(node) for bone, node in models.items()}
    mean = compare_meshes(made, bones, region_around(joint_centre(bones)))[-1]["assd_mm"]
    assert mean < _LARGEST, f"{mean:.2f} mm from the true surfaces, {_LARGEST} allowed"
    return f"{mean:.2f} mm from the true surfaces. {session.status()}"


def _node_names(session: Session) -> set[str]:
    nodes = session.slicer.util.getNodesByClass("vtkMRMLNode")
    return {f"{node.GetClassName()} {node.GetName()}" for node in nodes}


def cancel(session: Session) -> str:
    """Cancel in each stage: nothing was changed, and the next click works."""
    needs_torch()
    session.clear()
    sample(session)
    panel, before = session.panel, _node_names(session)
    listen, seen = panel._onProgress, []
    for stage in _STAGES:

        def hook(at, fraction, message, stage=stage):
            listen(at, fraction, message)
            seen.append(at)
            if at == stage:
                panel.cancel()

        panel._onProgress = hook
        try:
            session.click(session.ui.reconstructButton)
            session.settle()
        finally:
            panel._onProgress = listen
        assert stage in seen, f"the stage {stage} was not reached; seen: {sorted(set(seen))}"
        assert "cancelled" in session.status(), session.status()
        left = sorted(_node_names(session) - before)
        assert not left, f"cancelled in {stage}, and left behind: {left}"
    return f"cancelled in {', '.join(_STAGES)}"


def plan(session: Session) -> str:
    """An osteotomy: cut plane and hinge as Markups; an end of the hinge dragged, and undone."""
    bones_by_truth(session)
    ui, parameters = session.ui, session.parameters
    session.click(ui.planButton)
    session.settle()
    assert session.status().startswith("Planned."), session.status()
    assert parameters.nodeOf("plan", "Plane").GetDisplayNode().GetHandlesInteractive()
    hinge = parameters.nodeOf("plan", "Hinge")
    rows = _plan_rows(session)
    before = np.array(hinge.GetNthControlPointPositionWorld(0))
    hinge.InvokeEvent(session.slicer.vtkMRMLMarkupsNode.PointStartInteractionEvent)
    hinge.SetNthControlPointPositionWorld(0, *(before + (8.0, 0.0, 0.0)))
    session.slicer.app.processEvents()
    assert _plan_rows(session) != rows, "the numbers do not follow the hinge"
    session.click(ui.planUndoButton)
    assert _plan_rows(session) == rows, "Undo did not take the hinge back"
    return ", ".join(" ".join(row) for row in rows[:2])


def _plan_rows(session: Session) -> list[list[str]]:
    session.slicer.app.processEvents()
    table = session.ui.planTable
    return [[table.item(row, k).text() for k in (0, 1)] for row in range(table.rowCount)]


def _sample_ct(session: Session):
    import SampleData

    session.clear()
    source = next(
        source
        for source in SampleData.SampleDataLogic.sampleDataSourcesByCategory("SSRKD")
        if "CT" in source.sampleName
    )
    ct, segmentation = SampleData.SampleDataLogic().downloadFromSource(source)
    session.parameters.setNode("ct", "Volume", ct)
    session.parameters.setNode("reference", "Node", segmentation)
    session.parameters.setNode("compare", "Ct", ct)
    session.slicer.app.processEvents()
    return ct


def _compared(session: Session) -> float:
    session.click(session.ui.compareButton)
    session.settle()
    assert session.status().startswith("Compared: mean ASSD"), session.status()
    return float(session.status().split("mean ASSD")[1].split()[0])


def from_ct(session: Session) -> str:
    needs_torch()
    _sample_ct(session)
    session.click(session.ui.ctReconstructButton)
    session.settle()
    assert len(session.panel.case().models) == 4, session.status()
    mean = _compared(session)
    assert mean < _LARGEST, f"{mean:.2f} mm from the CT's segmentation"
    return f"{mean:.2f} mm from the CT's segmentation"


def simulate(session: Session) -> str:
    """Radiographs of the sample's CT, and bones of these where the CT has them."""
    needs_torch()
    ct = _sample_ct(session)
    session.parameters.ctSide = "R"
    session.slicer.app.processEvents()
    session.click(session.ui.simulateButton)
    session.settle()
    nodes = [session.parameters.nodeOf(view) for view in ("frontal", "lateral")]
    assert all(nodes), session.status()
    assert all(np.isfinite(session.slicer.util.arrayFromVolume(node)).all() for node in nodes)
    session.click(session.ui.reconstructButton)
    session.settle()
    mean = _compared(session)
    assert mean < _LARGEST, f"{mean:.2f} mm from the CT's segmentation"
    return f"{mean:.2f} mm from the segmentation of {ct.GetName()}"
