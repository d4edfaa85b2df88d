"""The module's layouts: what they show, and how large, whatever else happens in Slicer."""

from __future__ import annotations

import numpy as np
import pytest

from Testing.bench import application
from Testing.bench.pythonqt import Inside
from Testing.module.cases import SAMPLES, loadSampleFiles, sampleTruth


@pytest.fixture
def radiographs(module, slicer):
    """Two radiographs, wider than high, by role."""
    made = {}
    for role in ("frontal", "lateral"):
        made[role] = slicer.util.addVolumeFromArray(np.ones((1, 40, 90)), name=role)
    return made


@pytest.fixture
def layouts(module):
    from SSRKDSlicer.scene import layouts

    return layouts


def view(slicer, layouts, role):
    """(Slice logic, slice node) of a radiograph's view."""
    widget = slicer.app.layoutManager().sliceWidget(layouts.sliceName(role))
    return widget.sliceLogic(), widget.mrmlSliceNode()


def shown(slicer, layouts):
    """Names of the volumes in the radiographs' views."""
    logics = [view(slicer, layouts, role)[0] for role in ("frontal", "lateral")]
    volumes = [logic.GetBackgroundLayer().GetVolumeNode() for logic in logics]
    return [volume and volume.GetName() for volume in volumes]


def fits(slicer, layouts):
    """Whether fitting the radiographs' views again changes nothing."""
    found = []
    for role in ("frontal", "lateral"):
        logic, node = view(slicer, layouts, role)
        before = node.GetFieldOfView()
        logic.FitSliceToAll()
        found.append(np.allclose(before, node.GetFieldOfView()))
    return all(found)


def load(slicer):
    return slicer.util.loadVolume(str(SAMPLES / "SSRKD_CT.nrrd"))


def test_layouts_propagation_leaves_the_radiographs_alone(slicer, layouts, radiographs):
    """Loading a volume, a comparison, and the layout's return."""
    layouts.showRadiographs(radiographs)
    application.settle()
    assert shown(slicer, layouts) == ["frontal", "lateral"]
    pose = slicer.util.arrayFromVTKMatrix(view(slicer, layouts, "lateral")[1].GetSliceToRAS())
    ct = load(slicer)
    application.settle()
    assert shown(slicer, layouts) == ["frontal", "lateral"]
    after = slicer.util.arrayFromVTKMatrix(view(slicer, layouts, "lateral")[1].GetSliceToRAS())
    np.testing.assert_array_equal(pose, after)
    layouts.showOverlay(ct)
    application.settle()
    assert shown(slicer, layouts) == ["frontal", "lateral"]
    for name in ("Red", "Green", "Yellow"):
        logic = slicer.app.layoutManager().sliceWidget(name).sliceLogic()
        assert logic.GetBackgroundLayer().GetVolumeNode() is ct
    layouts.showRadiographs(radiographs)
    application.settle()
    assert shown(slicer, layouts) == ["frontal", "lateral"]
    assert fits(slicer, layouts)


def test_layouts_propagation_stays_forbidden_after_a_closed_scene(slicer, panel, layouts):
    """A closed scene gives views their first settings back; the open panel takes them again."""
    layouts.showRadiographs({})
    slicer.mrmlScene.Clear(0)
    application.settle()
    load(slicer)
    application.settle()
    assert shown(slicer, layouts) == [None, None]


def test_layouts_propagation_by_linked_views_stays_outside(slicer, layouts, radiographs):
    layouts.showRadiographs(radiographs)
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    groups = [view(slicer, layouts, role)[1].GetViewGroup() for role in radiographs]
    assert len({red.GetViewGroup(), *groups}) == 3


def test_layouts_fit_the_radiographs_once_the_views_have_their_size(slicer, layouts, radiographs):
    manager = slicer.app.layoutManager()
    layouts.showRadiographs(radiographs)
    manager.setLayout(3)
    for role in radiographs:
        Inside(manager).resize(layouts.sliceName(role), 200, 600)  # of the window as it was before
    layouts.showRadiographs(radiographs)
    application.settle()
    assert fits(slicer, layouts)
    for role in radiographs:
        width, height, _ = view(slicer, layouts, role)[1].GetFieldOfView()
        assert width >= 90 and height >= 40


def test_layouts_exposed_views_alone_are_report_pictures(module, slicer, layouts, radiographs):
    """Views of a layout that was left stay with the layout manager, and out of reports; the
    radiographs are in them with their outlines, whatever layout is shown."""
    from SSRKDSlicer.bones.radiograph_pictures import radiographPictures
    from SSRKDSlicer.bones.report import viewPictures
    from SSRKDSlicer.bones.results import addModel
    from SSRKDSlicer.radiographs.outlines import outlinesOf, updateOutlines

    case = module.SSRKDLogic().place(*loadSampleFiles())
    patella = addModel("patella", sampleTruth()["patella"], "L", {}, case.folder())
    updateOutlines({"patella": patella}, case.placed, case.folder(), False)
    layouts.showRadiographs(radiographs)
    layouts.showSideBySide()
    application.settle()
    assert list(viewPictures("both")) == ["3D view: both", "3D view 2: both"]
    layouts.showOverlay(case.placed[0])
    application.settle()
    assert slicer.app.layoutManager().threeDViewCount == 2
    assert list(viewPictures("bones")) == ["3D view: bones"]
    captions = [f"{role} radiograph with the bones' outlines" for role in ("Frontal", "Lateral")]
    pictures = radiographPictures(case.placed, [patella])
    assert list(pictures) == captions
    assert all(png.startswith(b"\x89PNG") for png in pictures.values())
    for outline in outlinesOf([patella]):
        outline.GetDisplayNode().SetVisibility(False)
    assert not radiographPictures(case.placed, [patella])
