"""A comparison with a reference in the scene: prepared for the worker, and shown."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.bone_names import check_sides, match_bones
from SSRKDLib.core.errors import InputError
from SSRKDLib.evaluation.alignment import MODES
from SSRKDLib.evaluation.comparison import SHARES
from SSRKDLib.radiographs.rig_file import write_rig
from SSRKDLib.reconstruction.report import expected_errors
from SSRKDLib.surfaces.mesh_files import write_mesh

from ..radiographs.outlines import worldMesh
from ..scene.folders import BONE, boneColour, putInto, subfolder, uniqueName
from ..scene.frames import flipLpsRas
from ..scene.words import word
from . import point_colours
from .references import OWN, referenceParts
from .results import aboutModel, modelPolyData, posesChoice

#: Columns of the tables: key of the row, title, title in the panel, decimals.
COLUMNS = (
    ("assd_mm", "ASSD (mm)", "ASSD", 2),
    ("assd_paper_mm", "ASSD, paper's protocol (mm)", _("paper's"), 2),
    ("hd95_mm", "HD95 (mm)", "HD95", 2),
    ("hd_mm", "HD (mm)", "HD", 2),
    ("dsc", "Dice", "Dice", 3),
)


@dataclass
class Comparison:
    """What came out, and the nodes that show it.

    Attributes:
        rows, clinical, landmarks, residuals, notes, curves: see
            :func:`SSRKDLib.worker.tasks.compare`.
        mode: how the reference was aligned.
        references: model nodes of the reference by bone.
        transforms: transform nodes of the references; empty without alignment.
        table, clinicalTable, chart: nodes.
        points: the landmarks of the clinical measures, a point list node.
        models: the reconstruction's model nodes by bone.
        surfaces: what they showed, by bone.
    """

    rows: list
    clinical: list
    landmarks: dict
    residuals: dict
    notes: list
    curves: dict
    mode: str
    references: dict = field(default_factory=dict)
    transforms: tuple = ()
    table: object = None
    clinicalTable: object = None
    chart: object = None
    points: object = None
    models: dict = field(default_factory=dict)
    surfaces: dict = field(default_factory=dict)

    def holds(self):
        """Whether it still speaks of what is in the scene: the same surfaces, none removed."""
        present = slicer.mrmlScene.IsNodePresent
        return all(
            present(node) and node.GetPolyData() is self.surfaces[bone]
            for bone, node in self.models.items()
        ) and all(present(node) for node in self.references.values())


def matchReference(referenceNode, laterality, chosen):
    """Which part of a reference is which bone.

    Args:
        referenceNode: segmentation or label map volume node, or None: models in the scene.
        laterality: "L", "R" or None.
        chosen: names that the user picked, by bone.

    Returns:
        (parts by name, :class:`SSRKDLib.core.bone_names.NameMatch`).

    Raises:
        MeshError: everything is of the other side.
    """
    parts = {part.name: part for part in referenceParts(referenceNode)}
    picked = {bone: name for bone, name in chosen.items() if name in parts}
    return parts, match_bones([part.named() for part in parts.values()], laterality, picked)


def compare(tasks, models, referenceNode, chosen, mode, rig=None, before=None, **callbacks):
    """Compare models with a reference; ``onDone`` gets the :class:`Comparison`.

    Args:
        tasks: :class:`~SSRKDSlicer.tasks.Tasks`.
        models: the reconstruction's model nodes by bone.
        referenceNode: segmentation or label map volume node, or None: models in the scene.
        chosen: names of parts that the user picked, by bone.
        mode: "none", "all", "bone", or "keep": the copies of the reference that ``before`` holds,
            with their transforms as they are now.
        rig: :class:`SSRKDLib.geometry.views.Rig` in the models' frame; None: evaluated as far as
            both sets of surfaces go.
        before: the :class:`Comparison` so far, whose nodes are used again.
        callbacks: onProgress, onDone, onFailed.
    """

    def prepare(folder):
        if not models:
            raise InputError(
                _("There is no reconstruction to compare."), _("Click Reconstruct first.")
            )
        laterality = next(iter(models.values())).GetAttribute("SSRKD.Laterality")
        if laterality is None:
            raise InputError(
                _("It is not known whether the bones are of a left or a right knee."),
                _("Choose the side in the section From CT, and reconstruct again."),
            )
        if mode == "keep":
            if before is None or not before.references:
                raise InputError(
                    _("Nothing was aligned yet that could stay as it is."),
                    _("Choose another alignment first."),
                )
            reference = {b: worldMesh(node) for b, node in before.references.items()}
        else:
            parts, matching = matchReference(referenceNode, laterality, chosen)
            if not matching.bones:
                raise InputError(
                    _("The reference contains no bone of this knee that could be found."),
                    _("Choose another reference, or pick its parts in the table."),
                )
            check_sides(matching.side, laterality)
            reference = {bone: parts[name].mesh() for bone, name in matching.bones.items()}
        about = {bone: aboutModel(node) for bone, node in models.items()}
        for name, meshes in (
            ("recon", {bone: worldMesh(node) for bone, node in models.items()}),
            ("reference", reference),
        ):
            (folder.path / name).mkdir()
            for bone, mesh in meshes.items():
                write_mesh(folder.path / name / f"{bone}.ply", mesh)
        request = {
            "do": "compare",
            "recon": str(folder.path / "recon"),
            "reference": str(folder.path / "reference"),
            "align": mode if mode in MODES else "none",
            "laterality": laterality,
            "errors": expected_errors({"bones": about}),
            "pose": posesChoice(models),
        }
        if rig is not None:
            request["rig"] = str(folder.path / "rig.json")
            write_rig(rig, request["rig"])
        return request, reference

    def show(folder, result, reference):
        present = {b: node for b, node in models.items() if slicer.mrmlScene.IsNodePresent(node)}
        if not present:
            raise InputError(_("The bones were removed meanwhile."), _("Click Reconstruct again."))
        made = Comparison(
            result["rows"], result["clinical"], result["landmarks"], result["residual_mm"],
            result["notes"], result["curves"], mode, models=present,
            surfaces={bone: node.GetPolyData() for bone, node in present.items()},
        )  # fmt: skip
        _useAgain(made, before)
        item = _folderOf(present)
        if mode != "keep":
            _showReferences(made, reference, result["matrices"], item)
        made.notes += _colour(present, folder.output)
        _tables(made, item)
        _landmarks(made, item)
        return made

    return tasks.run(prepare, show, callbacks)


def _folderOf(models):
    from ..scene.folders import folderOf, newFolder

    return subfolder(folderOf(*models.values()) or newFolder(_("Knee")), _("Comparison"))


def _useAgain(made, before):
    if before is None:
        return
    present = slicer.mrmlScene.IsNodePresent
    made.references = {b: n for b, n in before.references.items() if present(n)}
    made.transforms = tuple(n for n in before.transforms if present(n))
    for name in ("table", "clinicalTable", "chart", "points"):
        node = getattr(before, name)
        setattr(made, name, node if node is not None and present(node) else None)


def _showReferences(made, reference, matrices, item):
    """Copies of the reference under the transforms that lay them on the reconstruction."""
    for node in (*made.references.values(), *made.transforms):
        slicer.mrmlScene.RemoveNode(node)
    made.references, transforms = {}, {}
    for bone in (bone for bone in BONES if bone in reference):
        name = uniqueName(_("Reference {bone}").format(bone=word(bone)))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
        node.SetAndObservePolyData(modelPolyData(reference[bone]))
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetScalarVisibility(False)
        display.SetColor(0.85, 0.85, 0.85)
        display.SetOpacity(0.35)
        display.SetVisibility2D(True)
        node.SetAttribute(OWN, "true")
        node.SetAttribute(BONE, bone)
        putInto(item, node)
        made.references[bone] = node
        if made.mode in ("all", "bone"):
            key = bone if made.mode == "bone" else "all bones"
            if key not in transforms:
                transforms[key] = _transform(key, np.array(matrices[bone]), made, item)
            node.SetAndObserveTransformNodeID(transforms[key].GetID())
    made.transforms = tuple(transforms.values())


def _transform(key, matrix, made, item):
    """A linear transform node from an LPS matrix; its name contains the residual."""
    residuals = [
        value
        for bone, value in made.residuals.items()
        if value is not None and key in (bone, "all bones")
    ]
    name = _("Reference to reconstruction ({what}, residual {residual:.2f} mm)").format(
        what=word(key), residual=np.mean(residuals)
    )
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", uniqueName(name))
    inRas = flipLpsRas(flipLpsRas(matrix).T).T
    slicer.util.updateTransformMatrixFromArray(node, inRas)
    node.SetAttribute(OWN, "true")
    putInto(item, node)
    return node


def _colour(models, folder):
    """Signed distances as point data of the reconstruction's models; sentences on those without."""
    notes = []
    for bone, node in models.items():
        path = folder / f"{bone}.npy"
        if not path.is_file():
            continue
        if not point_colours.setDistances(node, np.load(path, allow_pickle=False)):
            notes.append(
                _(
                    "The {bone} is not coloured: its model has points that belong to no face. "
                    "Clean it in the Surface Toolbox, then compare again."
                ).format(bone=word(bone))
            )
    return notes


def _tables(made, item):
    made.table = made.table or _newTable(_("Distances to reference"), item)
    names = [row["bone"] for row in made.rows]
    columns = {"Bone": names}
    for key, title, _short, _decimals in COLUMNS:
        columns[title] = [_number(row[key]) for row in made.rows]
    columns["Residual of alignment (mm)"] = [_number(row.get("residual_mm")) for row in made.rows]
    columns["Note"] = [row["note"] for row in made.rows]
    _fill(made.table, columns)
    made.clinicalTable = made.clinicalTable or _newTable(_("Clinical measures"), item)
    keys = {
        "Measure": "title", "Unit": "unit", "Reconstruction": "reconstruction",
        "Reference": "reference", "Error": "error", "Note": "note",
        "Expected error": "expected_error",
    }  # fmt: skip
    _fill(
        made.clinicalTable,
        {
            title: [
                row[key] if isinstance(row[key], str) else _number(row[key])
                for row in made.clinical
            ]
            for title, key in keys.items()
        },
    )
    _chart(made, item)


def _number(value):
    return float("nan") if value is None else float(value)


def _newTable(name, item):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", uniqueName(name))
    putInto(item, node)
    return node


def _fill(tableNode, columns):
    table = vtk.vtkTable()
    for title, values in columns.items():
        kind = vtk.vtkStringArray if isinstance(values[0], str) else vtk.vtkDoubleArray
        array = kind()
        array.SetName(title)
        for value in values:
            array.InsertNextValue(value)
        table.AddColumn(array)
    tableNode.SetAndObserveTable(table)


def _chart(made, item):
    """Cumulative curves: the share of both surfaces that is nearer than a distance."""
    if made.chart is None:
        made.chart = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLPlotChartNode", uniqueName(_("Distances, cumulative"))
        )
        putInto(item, made.chart)
    chart = made.chart
    table = chart.GetNodeReference("SSRKD.Curves") or _newTable(_("Distance curves"), item)
    chart.SetNodeReferenceID("SSRKD.Curves", table.GetID())
    _fill(table, {"Share (%)": SHARES.tolist(), **made.curves})
    chart.RemoveAllPlotSeriesNodeIDs()
    for bone in made.curves:
        role = f"SSRKD.Series.{bone}"
        series = chart.GetNodeReference(role)
        if series is None:
            name = uniqueName(f"Distances {bone}")
            series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
            chart.SetNodeReferenceID(role, series.GetID())
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(bone)
        series.SetYColumnName("Share (%)")
        series.SetPlotType(series.PlotTypeScatter)
        series.SetMarkerStyle(series.MarkerStyleNone)
        series.SetColor(*boneColour(bone))
        series.SetLineWidth(2)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle(_("Distance between the surfaces"))
    chart.SetXAxisTitle(_("Distance (mm)"))
    chart.SetYAxisTitle(_("Share of both surfaces (%)"))


def _landmarks(made, item):
    """The landmarks of the reconstruction's clinical measures, as a point list."""
    if made.points is None:
        name = uniqueName(_("Landmarks of clinical measures"))
        made.points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        made.points.CreateDefaultDisplayNodes()
        made.points.SetLocked(True)
        made.points.GetDisplayNode().SetVisibility(False)
        putInto(item, made.points)
    made.points.RemoveAllControlPoints()
    shown = set()
    for marks in made.landmarks.values():
        for label, place in marks.items():
            if label not in shown:
                shown.add(label)
                made.points.AddControlPoint(vtk.vtkVector3d(*flipLpsRas(place)), label)


def moveCt(made, ctNode):
    """Let the CT go where its segmentation went, if all bones moved as one.

    Returns:
        A sentence where it was left alone, else "".
    """
    before = ctNode.GetParentTransformNode()
    if before is not None and not before.GetAttribute(OWN):
        return _("'{name}' is under a transform of its own and was left there.").format(
            name=ctNode.GetName()
        )
    together = made.mode == "all" and made.transforms
    ctNode.SetAndObserveTransformNodeID(made.transforms[0].GetID() if together else None)
    return ""


def undoAlignment(made, ctNode):
    """Put the copies of the reference, and the CT, back where they came from."""
    for node in made.references.values():
        node.SetAndObserveTransformNodeID(None)
    if ctNode is not None:
        before = ctNode.GetParentTransformNode()
        if before is not None and before.GetAttribute(OWN):
            ctNode.SetAndObserveTransformNodeID(None)
