"""Steps that need no PyTorch: from Slicer's start-up to scenes, files and views."""

from __future__ import annotations

import importlib.util
import sys
import time

import numpy as np

from Testing.slicer import facts
from Testing.slicer.scenes import (
    bones_by_truth,
    click_pixel,
    draw_ball,
    masks_by_hand,
    sample,
    view_of,
)
from Testing.slicer.session import Session, Skip

#: What may not be imported before the module is opened.
_LATE = ("SSRKDLib", "torch", "scipy", "SimpleITK", "pydicom")


def start_up(session: Session) -> str:
    """What Slicer pays for the module before anybody opens it."""
    if not session.fresh:
        raise Skip("the module was opened in this process before")
    module = sys.modules["SSRKD"]
    ours = [name for name in sys.modules if name.split(".")[0] in ("SSRKDSlicer", *_LATE[:1])]
    kept = {name: sys.modules.pop(name) for name in ours}
    before = set(sys.modules)
    started = time.perf_counter()
    try:
        spec = importlib.util.spec_from_file_location("SSRKD_again", module.__file__)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        session.slicer.modules.SSRKDInstance.onStartupCompleted()
        seconds = time.perf_counter() - started
    finally:
        added = set(sys.modules) - before
        for name in added:
            if name.split(".")[0] in ("SSRKDSlicer", "SSRKDLib"):
                del sys.modules[name]
        sys.modules.update(kept)
    late = sorted(name for name in added | set(ours) if name.split(".")[0] in _LATE)
    assert not late, f"{len(late)} modules are imported before the module is opened: {late[:8]}"
    return f"{1000 * seconds:.0f} ms, {len(added)} modules imported"


def module_found(session: Session) -> str:
    module = session.slicer.modules.ssrkd
    assert "SSR-KD" in module.title
    assert module.helpText
    assert module.acknowledgementText
    return f"{module.title}; {', '.join(module.categories)}"


def pythonqt_facts(session: Session) -> str:
    """What the bench takes for granted of PythonQt; a difference is the bench's fault."""
    known = facts.read()
    differences = [text for fact in known if (text := facts.difference(fact, session.host.kind))]
    for text in differences:
        print(f"         differs: {text}")
    return "; ".join([f"{len(known) - len(differences)} of {len(known)} facts hold", *differences])


def panel_opens(session: Session) -> str:
    session.clear()
    session.widget = session.host.open()
    session.fresh = False
    ui = session.ui
    session.unfold(("cases", "radiographs", "scale", "display", "model", "log", "results",
                    "compare", "plan", "ct", "installation"))  # fmt: skip
    assert ui.reconstructButton.text == "Reconstruct"
    assert not ui.reconstructButton.enabled, "there is nothing to reconstruct yet"
    widest = ui.radiographsSection.parent().minimumSizeHint.width()
    return f"all sections open, at least {widest} pixels wide"


def sample_data(session: Session) -> str:
    """The samples through Slicer's own Sample Data."""
    import SampleData

    session.clear()
    sources = SampleData.SampleDataLogic.sampleDataSourcesByCategory("SSRKD")
    assert len(sources) == 2, f"{len(sources)} samples are offered instead of 2"
    logic = SampleData.SampleDataLogic()
    for source in sources:
        (source.customDownloader or logic.downloadFromSource)(source)
    session.slicer.app.processEvents()
    nodes = [session.parameters.nodeOf(view) for view in ("frontal", "lateral")]
    assert all(nodes), "the panel did not choose the radiographs by itself"
    assert session.ui.reconstructButton.enabled, session.ui.reconstructButton.toolTip
    assert len(session.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    session.clear()
    nodes = sample(session)
    _demand_in_views(session, nodes)
    return f"{nodes[0].GetName()} and {nodes[1].GetName()} were chosen"


def _demand_in_views(session: Session, nodes) -> None:
    """Each radiograph's view must show it."""
    for view, node in zip(("frontal", "lateral"), nodes):
        shown = view_of(session, view).sliceLogic().GetSliceCompositeNode()
        assert shown.GetBackgroundVolumeID() == node.GetID(), f"the {view} view shows another image"


def placing(session: Session) -> str:
    nodes = sample(session)
    session.click(session.ui.placeButton)
    placed = session.panel.case().placed
    assert all(placed), "the radiographs were not placed"
    rig = session.panel.requireSetup().rig
    for node, view in zip(placed, rig.views):
        corner = np.array(node.GetOrigin()) * (-1, -1, 1)
        assert np.allclose(corner, view.detector_origin, atol=1e-3), "not on its detector plane"
    _demand_in_views(session, placed)
    assert nodes[0].GetID() != placed[0].GetID()
    return f"the frontal detector's corner lies at {np.round(placed[0].GetOrigin(), 1).tolist()}"


def segment_editor(session: Session) -> str:
    """Masks into the Segment Editor and back."""
    from SSRKDSlicer.scene.masks import editedMasks

    masks = masks_by_hand(session)
    frontal, placed = masks[0], session.panel.case().placed[0]
    assert editedMasks(frontal, placed) is None, "masks count as edited before they were"
    with session.host.segment_editor() as opened:
        session.click(session.ui.editMasksButton)
        held = opened()
        assert held is not None, "the Segment Editor did not open"
        assert held == (frontal, placed), "the Segment Editor holds something else"
    segment = frontal.GetSegmentation().GetNthSegmentID(1)
    array = session.slicer.util.arrayFromSegmentBinaryLabelmap(frontal, segment, placed)
    array[0, 10:30, 10:40] ^= 1
    session.slicer.util.updateSegmentBinaryLabelmapFromArray(array, frontal, segment, placed)
    session.widget = session.host.open()
    edited = editedMasks(frontal, placed)
    assert edited is not None, "the edit was not noticed"
    return f"{int(edited.sum())} pixels are bone after an edit of 600"


def ball(session: Session) -> str:
    """The calibration sphere by a click into the slice view."""
    sample(session)
    session.parameters.geometry = "manual"
    session.slicer.app.processEvents()
    node = draw_ball(session, "frontal", (70, 420), 30.0)
    session.click(session.ui.ballButton)
    click_pixel(session, "frontal", node, (72, 418))
    spacing = session.parameters.number("frontal", "ScaleSpacing")
    assert spacing is not None, f"nothing was measured: {session.status()}"
    sdd, sod = (session.parameters.number("frontal", what) for what in ("Sdd", "Sod"))
    expected = session.ui.markerSize.value * sdd / sod / 60.0
    assert abs(spacing / expected - 1) < 0.05, f"{spacing:.4f} mm instead of {expected:.4f}"
    return f"a pixel is {spacing:.4f} mm, {expected:.4f} expected"


def ruler(session: Session) -> str:
    """The ruler by two clicks into the slice view."""
    sample(session)
    session.parameters.geometry = "manual"
    session.slicer.app.processEvents()
    session.ui.markerView.setCurrentIndex(1)
    session.ui.markerPlace.setCurrentIndex(1)
    session.slicer.app.processEvents()
    session.click(session.ui.rulerButton)
    node = session.parameters.nodeOf("lateral")
    for pixel in ((150, 100), (150, 400)):
        click_pixel(session, "lateral", node, pixel)
    spacing = session.parameters.number("lateral", "ScaleSpacing")
    assert spacing is not None, f"nothing was measured: {session.status()}"
    expected = session.ui.markerSize.value / 300.0
    assert abs(spacing / expected - 1) < 0.02, f"{spacing:.4f} mm instead of {expected:.4f}"
    session.click(session.ui.clearScaleButton)
    session.ui.markerView.setCurrentIndex(0)
    session.ui.markerPlace.setCurrentIndex(0)
    session.slicer.app.processEvents()
    return f"a pixel is {spacing:.4f} mm, {expected:.4f} expected"


def crop(session: Session) -> str:
    sample(session)
    session.click(session.ui.frontalCropButton)
    region = session.parameters.nodeOf("frontal", "Crop")
    assert region is not None, "there is no region"
    assert session.panel.requireSetup().crops == (None, None), "it must start around everything"
    region.SetSize(*(np.array(region.GetSize()) * (0.5, 0.5, 1)))
    cropped = session.panel.requireSetup().crops[0]
    columns, rows = session.parameters.nodeOf("frontal").GetImageData().GetDimensions()[:2]
    assert cropped == (columns // 4, rows // 4, columns // 2, rows // 2), f"cropped to {cropped}"
    session.click(session.ui.frontalCropButton)
    assert session.parameters.nodeOf("frontal", "Crop") is None, "the region was not removed"
    return f"columns and rows {cropped} of {columns} x {rows}"


def comparison(session: Session) -> str:
    """Bones beside the sample's true ones, and the views of a comparison."""
    models = bones_by_truth(session)
    ui = session.ui
    session.click(ui.compareButton)
    session.settle()
    assert session.status().startswith("Compared: mean ASSD"), session.status()
    text = session.status().split("\n")[0]
    assert all(node.GetDisplayNode().GetScalarVisibility() for node in models.values())
    assert not ui.overlayButton.enabled and ui.overlayButton.toolTip == "Choose the CT first."
    for button in (ui.sideBySideButton, ui.layoutButton):
        session.click(button)
    _demand_in_views(session, session.panel.case().placed)
    return text


def export(session: Session) -> str:
    bones_by_truth(session)
    folder = session.place("export")
    session.parameters.exportFolder = str(folder)
    for kind in ("STL", "OBJ", "PLY", "labelmap"):
        session.parameters.exportFormat = kind
        session.slicer.app.processEvents()
        session.click(session.ui.exportButton)
    files = sorted(path.name for path in folder.iterdir() if path.suffix != ".mtl")
    assert len(files) == 13, f"{len(files)} files instead of 13: {files}"
    assert all((folder / name).stat().st_size > 1000 for name in files)
    return ", ".join(files)


def save_and_load(session: Session) -> str:
    models = bones_by_truth(session)
    names = {bone: node.GetName() for bone, node in models.items()}
    path = session.place("scene") / "scene.mrb"
    assert session.slicer.util.saveScene(str(path)), "the scene was not saved"
    session.clear()
    session.slicer.util.loadScene(str(path))
    session.slicer.app.processEvents()
    again = {bone: node.GetName() for bone, node in session.panel.case().models.items()}
    assert again == names, f"models after loading: {again}"
    assert session.ui.reconstructButton.enabled, session.ui.reconstructButton.toolTip
    return f"{path.stat().st_size / 2**20:.1f} MiB"


def close_scene(session: Session) -> None:
    sample(session)
    session.clear()
    assert session.ui.frontalSelector.currentNode() is None
    assert not session.ui.reconstructButton.enabled
    node = session.parameters.node
    assert session.slicer.mrmlScene.IsNodePresent(node), "the panel follows a node that is gone"
    sample(session)
    assert session.ui.reconstructButton.enabled, session.ui.reconstructButton.toolTip


def reload_module(session: Session) -> None:
    before = session.panel
    session.host.leave()
    session.widget = session.host.open()
    assert session.panel is before, "the panel must survive another module"
    session.widget = session.host.reload()
    assert session.panel is not before
    sample(session)
    assert session.ui.reconstructButton.enabled, session.ui.reconstructButton.toolTip


def _answer(session: Session, worker) -> Exception:
    """With what a worker fails that is asked for something that it cannot do."""
    failures = []
    worker.submit({"do": "nothing"}, onDone=failures.append, onFailed=failures.append)
    session.wait(lambda: failures, "the worker's answer")
    session.slicer.app.processEvents()
    return failures[0]


def worker_missing(session: Session) -> str:
    """A worker that cannot be started, as where security software blocks it."""
    from SSRKDSlicer.worker.worker_client import WorkerClient

    client = WorkerClient([str(session.folder / "no such program")])
    sentence = str(_answer(session, client))
    assert "could not be started" in sentence, sentence
    assert not client.running
    return sentence


def worker_killed(session: Session) -> str:
    """A worker that is killed, as by a system that lacks memory; a new one answers."""
    from SSRKDSlicer.worker.worker_client import _endProcess, sharedWorker

    worker = sharedWorker()
    assert "has no task" in str(_answer(session, worker))
    _endProcess(worker._pid)
    sentence = str(_answer(session, worker))
    assert "ended in the middle of its work" in sentence, sentence
    again = str(_answer(session, worker))
    assert "has no task" in again, again
    return sentence


def end(session: Session) -> None:
    """What quitting does: the worker ends, and the scene may be closed."""
    from SSRKDSlicer.worker.worker_client import sharedWorker, stopSharedWorker

    sharedWorker()
    stopSharedWorker()
    session.clear()
