"""The scene, and the logics of Slicer's modules behind ``slicer.modules.<name>.logic()``."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import slicer
import vtk

from . import color_files, folders, subject_hierarchy

#: By name in ``slicer.modules``: the logic's class, and its name in the application logic.
_LOGICS = {
    "colors": ("vtkSlicerColorLogic", "Colors"),
    "volumes": ("vtkSlicerVolumesLogic", "Volumes"),
    "models": ("vtkSlicerModelsLogic", "Models"),
    "terminologies": ("vtkSlicerTerminologiesModuleLogic", "Terminologies"),
    "segmentations": ("vtkSlicerSegmentationsModuleLogic", "Segmentations"),
    "subjecthierarchy": ("vtkSlicerSubjectHierarchyModuleLogic", "SubjectHierarchy"),
    "tables": ("vtkSlicerTablesLogic", "Tables"),
    "transforms": ("vtkSlicerTransformLogic", "Transforms"),
    "markups": ("vtkSlicerMarkupsLogic", "Markups"),
    "plots": ("vtkSlicerPlotsLogic", "Plots"),
    "texts": ("vtkSlicerTextsLogic", "Texts"),
    "cropvolume": ("vtkSlicerCropVolumeLogic", "CropVolume"),
    "volumerendering": ("vtkSlicerVolumeRenderingLogic", "VolumeRendering"),
    "sequences": ("vtkSlicerSequencesLogic", "Sequences"),
    "units": ("vtkSlicerUnitsLogic", "Units"),
    "data": ("vtkSlicerDataModuleLogic", "Data"),
}


class CppModule:
    """A module of Slicer's own: its logic, and no panel."""

    def __init__(self, name, logic):
        self.name = name
        self.title = name
        self.path = ""
        self._logic = logic

    def logic(self):
        return self._logic

    def widgetRepresentation(self):  # noqa: N802
        return None


def build() -> None:
    """Make ``slicer.mrmlScene``, ``slicer.modules`` and what serves them."""
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    logic = _application_logic(scene)
    slicer.app.logic = logic
    slicer.modules = types.ModuleType("slicer.modules")
    sys.modules["slicer.modules"] = slicer.modules
    slicer.moduleNames = types.SimpleNamespace()
    _add_module_logics(scene, logic)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    slicer.app.keep(*_readers_of_scene_data(scene, logic))
    subject_hierarchy.follow(scene)


def _application_logic(scene):
    home = folders.inside("home")
    share = Path("share", f"Slicer-{slicer.app.majorVersion}.{slicer.app.minorVersion}")
    color_files.write(home / share / "ColorFiles")
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.SetHomeDirectory(str(home))
    logic.SetShareDirectory(str(share))
    logic.SetTemporaryPath(slicer.app.temporaryPath)
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    for factory in (
        slicer.vtkMRMLThreeDViewDisplayableManagerFactory,
        slicer.vtkMRMLSliceViewDisplayableManagerFactory,
    ):
        factory.GetInstance().SetMRMLApplicationLogic(logic)
    return logic


def _add_module_logics(scene, application_logic) -> None:
    from trame_slicer.resources import resources_path

    resources = Path(resources_path())  # terminologies and volume rendering presets
    for name, (kind, key) in _LOGICS.items():
        logic = getattr(slicer, kind)()
        if hasattr(logic, "SetModuleShareDirectory"):
            folder = resources / name
            logic.SetModuleShareDirectory(str(folder if folder.is_dir() else resources))
        if hasattr(logic, "SetMRMLApplicationLogic"):
            logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
        application_logic.SetModuleLogic(key, logic)
        setattr(slicer.modules, name, CppModule(key, logic))
        setattr(slicer.moduleNames, key, key)


def _readers_of_scene_data(scene, application_logic) -> tuple:
    """What reads the files that a scene file refers to."""
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLScene(scene)
    remote.SetMRMLApplicationLogic(application_logic)
    remote.GetCacheManager().SetRemoteCacheDirectory(str(folders.inside("cache")))
    data = slicer.vtkDataIOManagerLogic()
    data.SetMRMLScene(scene)
    data.SetMRMLApplicationLogic(application_logic)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.AddDataIOToScene()
    return remote, data
