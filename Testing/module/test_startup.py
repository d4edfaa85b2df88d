"""Slicer's start-up, and Slicers that were started otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest
import qt

from Testing import bench
from Testing.address import address
from Testing.bench import absent, application, user
from Testing.module.cases import ROOT
from Testing.module.conftest import MODULE

HEAVY = """
import {import}
class Heavy:
    def __init__(self, parent):
        import slicer
        slicer.app.connect("startupCompleted()", self.late)
    def late(self):
        import {late}
"""


def test_startup_offers_layouts_samples_and_terms_and_imports_nothing_else():
    """In a process of its own, where nothing of the module was imported before, nor offered."""
    code = (
        "from Testing import bench\n"
        "bench.boot()\n"
        f"bench.load_module({str(MODULE)!r})\n"
        "bench.start_up()\n"
        "import sys\n"
        "from Testing.bench import faults\n"
        "assert not faults.take()\n"
        "import slicer\n"
        "from SSRKDSlicer.scene.layout_descriptions import OVERLAY, RADIOGRAPHS, SIDE_BY_SIDE\n"
        "node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()\n"
        "assert all(map(node.IsLayoutDescription, (OVERLAY, RADIOGRAPHS, SIDE_BY_SIDE)))\n"
        "assert len(slicer.modules.sampleDataSources['SSRKD']) == 2\n"
        "terms = slicer.modules.terminologies.logic()\n"
        "category = slicer.vtkSlicerTerminologyCategory()\n"
        "name = 'Segmentation category and type - Knee bones (SSR-KD)'\n"
        "assert terms.GetNthCategoryInTerminology(name, 0, category)\n"
        "print(sorted({n.split('.')[0] for n in sys.modules} & {'SSRKDLib', 'scipy', 'torch'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("when", ["import", "late"])
def test_startup_of_a_module_that_imports_more_fails(slicer, tmp_path, when):
    path = tmp_path / "Heavy.py"
    names = {"import": "json", "late": "json", when: "numpy"}
    path.write_text(HEAVY.replace("{import}", names["import"]).replace("{late}", names["late"]))
    with pytest.raises(RuntimeError, match=r"Heavy\.py imports numpy \(by Heavy\)"):
        bench.load_module(path)
        bench.start_up()
    path.unlink()


@pytest.fixture
def forgotten(module, slicer, monkeypatch):
    """The module as if ``startupCompleted`` had never come: no samples, no layouts in the menu."""
    from SSRKDSlicer.radiographs.sample_data import CATEGORY

    monkeypatch.delitem(slicer.modules.sampleDataSources, CATEGORY, raising=False)
    for action in layout_menu(slicer).actions():
        layout_menu(slicer).removeAction(action)


def layout_menu(slicer):
    bar = slicer.util.mainWindow().findChild(qt.QToolBar, "ViewToolBar")
    return bar.widgetForAction(bar.actions()[0]).menu()


def test_startup_missed_the_sample_is_loaded_all_the_same(forgotten, panel, slicer):
    """The module was dragged in, or made in the Extension Wizard."""
    titles = [action.text for action in layout_menu(slicer).actions()]
    assert titles == ["Knee radiographs", "Knee comparison", "Knees side by side"]
    assert "SSRKD" in slicer.modules.sampleDataSources
    user.click(panel.ui.sampleButton)
    assert "✗" not in panel.ui.statusLabel.text
    assert panel.panel.parameters.nodeOf("lateral").GetName() == "Knee lateral"


def test_startup_without_sample_data_says_what_is_missing(forgotten, panel, monkeypatch):
    absent.module(monkeypatch, "SampleData")
    user.click(panel.ui.sampleButton)
    assert "Sample Data module" in panel.ui.statusLabel.text
    assert "Application Settings" in panel.ui.statusLabel.text
    assert "should not have happened" not in panel.ui.statusLabel.text


def test_startup_without_a_main_window_offers_what_needs_none(module, slicer, monkeypatch):
    from SSRKDSlicer.radiographs.sample_data import CATEGORY

    monkeypatch.delitem(slicer.modules.sampleDataSources, CATEGORY, raising=False)
    absent.main_window(monkeypatch)
    bench.start_up()
    assert CATEGORY in slicer.modules.sampleDataSources


def test_startup_puts_the_layouts_into_the_menu_once_and_they_show_the_radiographs(panel, slicer):
    user.click(panel.ui.sampleButton)
    slicer.app.layoutManager().setLayout(3)
    slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeSSRKDLateral").SetBackgroundVolumeID(
        None
    )
    bench.start_up()
    actions = layout_menu(slicer).actions()
    assert len(actions) == 3 and not any(action.icon.isNull() for action in actions)
    actions[0].trigger()
    application.settle()
    composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeSSRKDLateral")
    assert composite.GetBackgroundVolumeID() == panel.panel.parameters.nodeOf("lateral").GetID()


def test_startup_the_module_says_what_it_needs_and_where_its_documentation_is(module, slicer):
    about = slicer.modules.ssrkd
    needed = {"Volumes", "Segmentations", "Markups", "Colors", "SampleData"}
    assert set(about.dependencies) == needed
    assert f"{address()}/blob/main/Docs/slicer.md" in about.helpText
    assert "arxiv.org/abs/2508.13947" in about.acknowledgementText
    assert about.contributors
    widget = bench.open_module("SSRKD")
    logic = widget.logic  # what slicer.util.getModuleLogic gives
    assert type(logic).__name__ == "SSRKDLogic"
    assert about.associatedNodeTypes == (logic.getParameterNode().GetClassName(),)
    assert widget.nodeEditable(logic.getParameterNode()) > 0.5
    assert widget.nodeEditable(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")) == 0


def test_startup_from_a_checkout_finds_the_library_and_nothing_else(module):
    found = module.LibraryFinder.find_spec("SSRKDLib")
    assert found.origin == str(ROOT / "SSRKDLib" / "__init__.py")
    assert found.submodule_search_locations == [str(ROOT / "SSRKDLib")]
    assert module.LibraryFinder.find_spec("Testing") is None
