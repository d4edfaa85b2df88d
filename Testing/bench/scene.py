"""The scene, and the logics of Slicer's modules behind ``slicer.modules.<name>.logic()``."""

from __future__ import annotations

import colorsys
import sys
import types
from pathlib import Path

import numpy as np
import slicer
import vtk

from . import folders, subject_hierarchy

#: By name in ``slicer.modules``: the logic's class, and its name in the application logic.
_LOGICS = {
    "colors": ("vtkSlicerColorLogic", "Colors"),
    "volumes": ("vtkSlicerVolumesLogic", "Volumes"),
    "models": ("vtkSlicerModelsLogic", "Models"),
    "terminologies": ("vtkSlicerTerminologiesModuleLogic", "Terminologies"),
    "segmentations": ("vtkSlicerSegmentationsModuleLogic", "Segmentations"),
    "subjecthierarchy": ("vtkSlicerSubjectHierarchyModuleLogic", "SubjectHierarchy"),
    "markups": ("vtkSlicerMarkupsLogic", "Markups"),
    "units": ("vtkSlicerUnitsLogic", "Units"),
}

#: Colours at equal distances along Viridis; those between are interpolated.
_VIRIDIS = bytes.fromhex("440154472D7B3B528B2C728E21918C28AE805EC962ADDC30FDE725")
#: The golden ratio's share of a turn: neighbouring labels get distant hues.
_HUE_STEP = 0.381966
_LABELS = 64


class CppModule:
    """A module of Slicer's own: its logic, and no panel."""

    def __init__(self, logic):
        self._logic = logic

    def logic(self):
        return self._logic


def build() -> None:
    """Make ``slicer.mrmlScene``, ``slicer.modules`` and what serves them."""
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    logic = _application_logic(scene)
    slicer.app.logic = logic
    slicer.modules = types.ModuleType("slicer.modules")
    sys.modules["slicer.modules"] = slicer.modules
    _add_module_logics(scene, logic)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    slicer.app.kept += _readers_of_scene_data(scene, logic)
    subject_hierarchy.follow(scene)


def _application_logic(scene):
    home = folders.inside("home")
    share = Path("share", f"Slicer-{slicer.app.majorVersion}.{slicer.app.minorVersion}")
    _write_colours(home / share / "ColorFiles")
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
        setattr(slicer.modules, name, CppModule(logic))


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


def _write_colours(folder: Path) -> None:
    """Write colour tables that Slicer ships as files and the ``slicer-core`` wheel leaves out.

    Only those that nodes refer to by default: models take Viridis, label maps GenericColors.
    """
    folder.mkdir(parents=True)
    anchors = np.frombuffer(_VIRIDIS, np.uint8).reshape(-1, 3)
    places = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), places, anchors[:, c]) for c in range(3)]
    viridis = np.round(np.stack(channels, axis=1)).astype(int)
    lines = [f"{i} {i} {r} {g} {b} 255" for i, (r, g, b) in enumerate(viridis)]
    (folder / "Viridis.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["0 background 0 0 0 0"]
    for label in range(1, _LABELS):
        colour = colorsys.hsv_to_rgb(label * _HUE_STEP % 1, 0.75, 0.9)
        red, green, blue = (round(255 * channel) for channel in colour)
        lines.append(f"{label} region_{label} {red} {green} {blue} 255")
    (folder / "GenericColors.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
