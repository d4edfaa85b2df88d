"""The reconstructed bones in the scene, and out of it into files."""

from __future__ import annotations

import json
import os

import numpy as np
import slicer
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.boxes import bounding_box
from SSRKDLib.core.errors import GeometryError, InputError, OutputError
from SSRKDLib.core.terminology import SIDES, slicer_entry
from SSRKDLib.radiographs.rig_file import rig_from_dict, rig_to_dict
from SSRKDLib.reconstruction.choices import POSES, pose_sentence
from SSRKDLib.reconstruction.result_folder import UNCERTAINTY as UNCERTAINTY_IN_FILES
from SSRKDLib.surfaces.mesh import Mesh, to_polydata
from SSRKDLib.surfaces.mesh_files import read_mesh, write_mesh
from SSRKDLib.surfaces.ply import read_ply_property
from SSRKDLib.surfaces.voxelise import label_map

from ..radiographs.outlines import ownMesh, worldMesh
from ..radiographs.poses import poseIn, shownPose, storePoses
from ..scene.folders import BONE, boneColour, boneName, putInto, uniqueName
from ..scene.frames import flipLpsRas
from ..scene.parameters import VIEWS
from ..scene.stored import storedObject

#: Node attribute of a model: the report's entry for its bone, as JSON.
ABOUT = "SSRKD.About"

_NUMBER = (float, None)
_ABOUT = {
    "volume_mm3?": _NUMBER, "expected_error_mm?": _NUMBER, "spacing_mm?": _NUMBER,
    "agreement?": {f"{view}?": _NUMBER for view in VIEWS}, "warnings?": [str],
}  # fmt: skip

#: Node attribute of a model: the rig of the images that it was reconstructed from, as JSON.
RIG = "SSRKD.Rig"

#: What of a report every model keeps, for exports and reports.
_KEPT = (
    "spacing_mm", "weights", "weights_sha256", "device", "surface", "motion", "pose", "warnings",
)  # fmt: skip

FORMATS = {"STL": ".stl", "OBJ": ".obj", "PLY": ".ply", "labelmap": ".nrrd"}


#: Point data of a fitted bone, mm: nine of ten of its points lie within it from the real bone.
UNCERTAINTY = "Uncertainty"


def modelPolyData(mesh, uncertainty=None):
    """A surface in LPS mm as polygons in RAS, with normals, and :data:`UNCERTAINTY` where it is
    known."""
    polydata = to_polydata(Mesh(flipLpsRas(mesh.vertices), mesh.faces))
    normals = numpy_to_vtk(flipLpsRas(mesh.vertex_normals()).astype(np.float32), deep=True)
    normals.SetName("Normals")
    polydata.GetPointData().SetNormals(normals)
    if uncertainty is not None:
        array = numpy_to_vtk(uncertainty.astype(np.float32), deep=True)
        array.SetName(UNCERTAINTY)
        polydata.GetPointData().AddArray(array)
    return polydata


def uncertaintyOf(node):
    """:data:`UNCERTAINTY` of a model, one number per point; None where it has none."""
    array = node.GetPolyData().GetPointData().GetArray(UNCERTAINTY)
    return None if array is None else vtk_to_numpy(array)


def addModels(resultFolder, report, folder, before=None, rig=None):
    """Model nodes of a result on disk, as the bones lay in the view that its report names.

    Args:
        resultFolder: holds ``{bone}.ply``, LPS mm.
        report: the result's report.
        folder: subject hierarchy item.
        rig: :class:`~SSRKDLib.geometry.views.Rig` of the images that the networks saw, or None.
        before: model nodes by bone that get the new surfaces and keep their look; those of bones
            that are not there any more are left to the caller.

    Returns:
        Model nodes by bone, in the order of ``BONES``; a bone that was not found is absent.
    """
    models = {}
    for bone in BONES:
        path = os.path.join(resultFolder, f"{bone}.ply")
        if os.path.isfile(path):
            about = {
                **report["bones"][bone],
                **{key: report[key] for key in _KEPT if key in report},
            }
            models[bone] = addModel(
                bone, read_mesh(path), report["laterality"], about, folder,
                (before or {}).get(bone), read_ply_property(path, UNCERTAINTY_IN_FILES),
            )  # fmt: skip
            models[bone].SetAttribute(RIG, None if rig is None else json.dumps(rig_to_dict(rig)))
            storePoses(models[bone], *_posesOf(report, bone))
    return models


def _posesOf(report, bone):
    """What :func:`storePoses` keeps of a report; it numbers the radiographs as the set-up does."""
    if report.get("pose") is None:
        return None, {}
    roles = {name: VIEWS[index] for name, index in report["views"].items() if name in VIEWS}
    matrices = {role: report["poses"][name][bone] for name, role in roles.items()}
    return roles[report["pose"]], matrices


def posesChoice(models):
    """The radiograph in whose pose models are shown; None where no bone moved."""
    return next(filter(None, map(shownPose, models.values())), None)


def showPose(models, view):
    """Give models the surfaces of the bones as they lay in a radiograph.

    Args:
        models: model nodes by bone; those whose bone did not move stay as they are.
        view: "frontal" or "lateral".
    """
    for node in models.values():
        if shownPose(node) in (None, view):
            continue
        there = poseIn(node, view)
        matrices = {one: poseIn(node, one) @ np.linalg.inv(there) for one in VIEWS}
        moved = ownMesh(node).transformed(there)
        node.SetAndObservePolyData(modelPolyData(moved, uncertaintyOf(node)))
        node.GetDisplayNode().SetScalarVisibility(False)  # distances were of the other pose
        storePoses(node, view, matrices)
        node.SetAttribute(ABOUT, json.dumps(withPose(aboutModel(node), view)))


def withPose(report, view):
    """A report, or what a model keeps of it, that says of which radiograph the shown pose is."""
    former = [pose_sentence(pose) for pose in POSES]
    said = report.get("warnings", ())
    warnings = [pose_sentence(view) if sentence in former else sentence for sentence in said]
    return {**report, "pose": view, "warnings": warnings}


def reconstructionRig(models):
    """The rig of the images that models were reconstructed from, or None where none is known."""
    for node in models.values():
        if node.GetAttribute(RIG):
            try:
                return rig_from_dict(storedObject(node.GetAttribute(RIG), {}))
            except ValueError as error:
                raise GeometryError(
                    _("The geometry stored with '{name}' is damaged.").format(name=node.GetName()),
                    _("Reconstruct again."),
                ) from error
    return None


def addModel(bone, mesh, laterality, about, folder, node=None, uncertainty=None):
    """One model node: a new one, or one that gets a new surface."""
    if node is None:
        name = uniqueName(boneName(bone, laterality))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
        node.SetAndObservePolyData(modelPolyData(mesh, uncertainty))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetScalarVisibility(False)
        node.GetDisplayNode().SetColor(*boneColour(bone))
        putInto(folder, node)
    else:
        node.SetAndObservePolyData(modelPolyData(mesh, uncertainty))
        node.GetDisplayNode().SetScalarVisibility(False)  # distances were of the old surface
        if node.GetAttribute("SSRKD.Laterality") != laterality:
            node.SetName(uniqueName(boneName(bone, laterality)))
    node.SetAttribute(BONE, bone)
    node.SetAttribute(ABOUT, json.dumps(about))
    node.SetAttribute("SSRKD.Laterality", laterality)
    node.SetAttribute(
        slicer.vtkSegment.GetTerminologyEntryTagName(), slicer_entry(bone, laterality)
    )
    return node


def aboutModel(node):
    """The report's entry for a model's bone: volume_mm3, agreement."""
    try:
        return storedObject(node.GetAttribute(ABOUT), _ABOUT)
    except ValueError:
        return {}


def exportPaths(models, folder, kind):
    """The files that :func:`exportModels` writes, by bone; a label map's by its name.

    Raises:
        InputError: nothing to write, or no such folder.
    """
    if not models:
        raise InputError(_("There are no bones to export."), _("Click Reconstruct first."))
    if not folder or not os.path.isdir(folder):
        raise InputError(
            _("The folder '{folder}' does not exist.").format(folder=folder),
            _("Choose the folder to export to."),
        )
    side = next(iter(models.values())).GetAttribute("SSRKD.Laterality") or ""
    prefix = f"{SIDES[side]}_" if side in SIDES else ""
    names = ["knee_labels"] if kind == "labelmap" else models
    return {name: os.path.join(folder, f"{prefix}{name}{FORMATS[kind]}") for name in names}


def replacedByExport(models, folder, kind):
    """Paths at which :func:`exportModels` replaces what is there: Slicer writes a file of materials
    beside each OBJ.

    Raises:
        InputError: nothing to write, or no such folder.
    """
    paths = exportPaths(models, folder, kind).values()
    beside = [f"{os.path.splitext(path)[0]}.mtl" for path in paths if kind == "OBJ"]
    return [*paths, *beside]


def exportModels(models, folder, kind):
    """Write models to files, LPS mm: one file per bone, or one label map. Earlier files of these
    names (:func:`replacedByExport`) are replaced.

    Args:
        models: model nodes by bone.
        folder: an existing folder.
        kind: one of :data:`FORMATS`.

    Returns:
        The paths written.

    Raises:
        InputError: nothing to write, or no such folder.
        OutputError: a file cannot be written.
    """
    paths = exportPaths(models, folder, kind)
    if kind == "labelmap":
        _writeLabels(models, *paths.values())
        return list(paths.values())
    for bone, path in paths.items():
        node = models[bone]
        if kind == "PLY":
            known = uncertaintyOf(node)
            scalars = {} if known is None else {UNCERTAINTY_IN_FILES: known}
            write_mesh(path, worldMesh(node), COLOURS[bone], scalars)
        elif not slicer.util.exportNode(node, path, {}, world=True) or not _isWhole(path, node):
            raise OutputError(
                _("'{path}' cannot be written.").format(path=path),
                _("Choose a folder that you may write to, on a disk with space left."),
            )
    return list(paths.values())


def _isWhole(path, node):
    """Whether a file was written, and an OBJ to its end: VTK does not say that a disk is full."""
    if not os.path.isfile(path):
        return False
    if not path.endswith(".obj"):
        return True
    with open(path, "rb") as file:
        faces = [line for line in file if line.startswith(b"f ") and line.endswith(b"\n")]
    return len(faces) >= node.GetPolyData().GetNumberOfPolys()


def _writeLabels(models, path):
    """Label map on a grid as fine as the reconstruction: 1 patella, 2 femur, 3 fibula, 4 tibia."""
    from SSRKDLib.images.writing import write_image

    meshes = {bone: worldMesh(node) for bone, node in models.items()}
    spacing = float(aboutModel(next(iter(models.values()))).get("spacing_mm") or 1.0)
    low, high = bounding_box(np.concatenate([mesh.bounds for mesh in meshes.values()]))
    low, high = low - 3 * spacing, high + 3 * spacing
    size = np.ceil((high - low) / spacing).astype(int) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    write_image(path, label_map(meshes, low, spacing, size), affine)
