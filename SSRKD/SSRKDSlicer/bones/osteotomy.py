"""An osteotomy's plan in the scene: cut plane and hinge as Markups, the parts as models."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.planning.correction import Knee
from SSRKDLib.planning.cut import KINDS, Choices, drawn_cut, standard_cut
from SSRKDLib.planning.fragments import fragments
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.planning.markups import PLANE_MM, hinge_ends, plane_centre
from SSRKDLib.planning.osteotomy import plan_osteotomy
from SSRKDLib.planning.plan_folder import PART_COLOURS, PLAN, write_plan
from SSRKDLib.planning.planner import knee_notes
from SSRKDLib.surfaces.mesh_files import write_mesh

from ..radiographs.outlines import outlinesOf, updateOutlines, worldMesh
from ..radiographs.poses import POSES
from ..scene.folders import folderOf, newFolder, putInto, subfolder, uniqueName
from ..scene.frames import flipLpsRas
from ..scene.stored import storedObject
from .comparison import matchReference
from .references import OWN
from .results import modelPolyData

#: Node attribute of the cut plane: what else belongs to the plan, as JSON.
SETTINGS = "SSRKD.Osteotomy"

_FORM = {
    "kind": set(KINDS), "angle": float, "entry": float, "hinge": float, "tubercle": (float, None),
    "side": {"L", "R"}, "inclination?": (float, None), "turn?": float,
}  # fmt: skip

NOTHING_TO_PLAN_ON = _("Reconstruct first, or choose a segmentation with tibia and fibula.")

_NAMES = {"proximal": _("Tibia, upper part"), "distal": _("Tibia, lower part"), "wedge": _("Wedge")}


@dataclass(frozen=True)
class Settings:
    """What plane and hinge do not say; kept with the plane, so that undo and scenes have it.

    ``kind``: of :data:`SSRKDLib.planning.cut.KINDS`; ``angle``: degrees; ``entry``, ``hinge``: mm,
    ``inclination`` (None: the medial slope) and ``turn``: degrees, as laid out by rule;
    ``tubercle``: mm or None; ``side``: "L" or "R".
    """

    kind: str
    angle: float
    entry: float
    hinge: float
    tubercle: float | None
    side: str
    inclination: float | None = None  # scenes of before fall and turn could be chosen have neither
    turn: float = 0.0

    @property
    def choices(self):
        return Choices(self.kind, self.entry, self.hinge, self.inclination, self.turn)

    def store(self, plane):
        plane.SetAttribute(SETTINGS, json.dumps(asdict(self)))

    @classmethod
    def of(cls, plane):
        """Raises InputError: what the plane keeps is damaged."""
        try:
            kept = storedObject(plane.GetAttribute(SETTINGS), _FORM)
            known = {field.name for field in fields(cls)}
            return cls(**{name: value for name, value in kept.items() if name in known})
        except (ValueError, TypeError) as error:
            raise InputError(
                _("The plan stored with '{name}' is damaged.").format(name=plane.GetName()),
                _("Remove it, and plan again."),
            ) from error


@dataclass
class Basis:
    """The bones that are planned on, and what was found on them.

    Attributes:
        models: the reconstruction's model nodes by bone; empty where a segmentation is planned on.
        meshes: surfaces by bone, LPS mm, where they stand in the world.
        state: of :func:`state`, when they were read.
        landmarks: :class:`SSRKDLib.planning.landmarks.Landmarks`.
        knee: :class:`SSRKDLib.planning.correction.Knee`.
    """

    models: dict
    meshes: dict
    state: list
    landmarks: Landmarks
    knee: Knee

    @property
    def tibia(self):
        return self.meshes["tibia"]


def findBasis(tasks, models, node, side, then=None, **callbacks):
    """Find the landmarks of bones; ``onDone`` gets the :class:`Basis`.

    Args:
        tasks: :class:`~SSRKDSlicer.tasks.Tasks`.
        models: the reconstruction's model nodes by bone.
        node: segmentation or label map volume node, or None: the models.
        side: "L", "R" or None: as the bones say.
        then: called with the basis: ``onDone`` gets what it returns instead, ``onFailed`` what it
            raises.
        callbacks: onProgress, onDone, onFailed.
    """

    def prepare(folder):
        meshes, laterality = _bones(models, node, side)
        (folder.path / "recon").mkdir()
        for bone, mesh in meshes.items():
            write_mesh(folder.path / "recon" / f"{bone}.ply", mesh)
        request = {
            "do": "landmarks", "recon": str(folder.path / "recon"), "laterality": laterality,
        }  # fmt: skip
        return request, (meshes, state(models, node))

    def show(folder, result, read):
        basis = Basis(
            dict(models) if node is None else {}, *read,
            Landmarks.from_dict(result["landmarks"]), Knee(**result["knee"]),
        )  # fmt: skip
        return basis if then is None else then(basis)

    return tasks.run(prepare, show, callbacks)


def _bones(models, node, side):
    """(surfaces by bone, side) to plan on; raises InputError where there is nothing."""
    if node is None:
        if not models:
            raise InputError(_("There is no tibia to plan on."), NOTHING_TO_PLAN_ON)
        meshes = {bone: worldMesh(one) for bone, one in models.items()}
        side = side or next(iter(models.values())).GetAttribute("SSRKD.Laterality")
    else:
        parts, matching = matchReference(node, side, {})
        meshes = {bone: parts[name].mesh() for bone, name in matching.bones.items()}
        side = side or matching.side
    if side not in ("L", "R"):
        raise InputError(
            _("It is not known whether the bones are of a left or a right knee."),
            _("Choose the side in the section Plan osteotomy."),
        )
    return meshes, side


def state(models, node):
    """What tells whether a :class:`Basis` still holds."""
    of = models.values() if node is None else [node]
    found = []
    for one in of:
        parent = one.GetParentTransformNode()
        moved = None if parent is None else parent.GetMTime()
        # The surface itself, not its number, which another one may get once it is gone.
        found.append((one, one.GetMTime() if one is node else one.GetPolyData(), moved))
    return found


@dataclass
class PlanNodes:
    """The nodes of a plan: Markups ``plane`` and ``hinge``, model nodes ``parts`` by name."""

    plane: object
    hinge: object
    parts: dict

    def present(self):
        return all(
            node is not None and slicer.mrmlScene.IsNodePresent(node)
            for node in (self.plane, self.hinge, *self.parts.values())
        )

    def remove(self):
        """Take what is left of a plan out of the scene, its outlines included."""
        left = [node for node in (self.plane, self.hinge, *self.parts.values()) if node is not None]
        for node in (*outlinesOf(left), *left):
            slicer.mrmlScene.RemoveNode(node)


def newPlan(basis):
    """Nodes for a plan on bones, in their folder."""
    scene = slicer.mrmlScene
    folder = folderOf(*basis.models.values()) or newFolder(_("Knee"))
    item = subfolder(folder, _("Osteotomy"))
    plane = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", uniqueName(_("Cut plane")))
    hinge = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", uniqueName(_("Hinge")))
    for node in (plane, hinge):
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetPropertiesLabelVisibility(False)
    display = plane.GetDisplayNode()
    display.SetHandlesInteractive(True)
    display.SetTranslationHandleVisibility(True)
    display.SetRotationHandleVisibility(True)
    display.SetScaleHandleVisibility(False)
    display.SetOpacity(0.6)
    hinge.GetDisplayNode().SetSelectedColor(0.84, 0.37, 0.0)
    parts = {}
    for name, colour in PART_COLOURS.items():
        parts[name] = scene.AddNewNodeByClass("vtkMRMLModelNode", uniqueName(_NAMES[name]))
        parts[name].CreateDefaultDisplayNodes()
        parts[name].GetDisplayNode().SetColor(*colour)
        parts[name].SetAttribute(OWN, "osteotomy")
        if "tibia" in basis.models:  # where the bone lay in each radiograph
            parts[name].SetAttribute(POSES, basis.models["tibia"].GetAttribute(POSES))
    putInto(item, plane, hinge, *parts.values())
    return PlanNodes(plane, hinge, parts)


def planByRule(tasks, models, node, settings, **callbacks):
    """A plan without the panel; ``onDone`` gets its numbers and :class:`PlanNodes`.

    Args:
        tasks, models, node, callbacks: see :func:`findBasis`.
        settings: :class:`Settings`; its side may be None.
    """

    def planned(basis):
        chosen = replace(settings, side=basis.landmarks.laterality)
        cut = standard_cut(basis.tibia, basis.landmarks, chosen.choices)
        nodes = newPlan(basis)
        chosen.store(nodes.plane)
        showCut(nodes, cut, basis.landmarks)
        plan, _parts = carryOut(nodes, basis, chosen, (), False)
        return plan.as_dict(), nodes

    return findBasis(tasks, models, node, settings.side, planned, **callbacks)


def showCut(nodes, cut, landmarks):
    """Let plane and hinge lie where a cut says."""
    plane = nodes.plane
    plane.SetOriginWorld(*flipLpsRas(plane_centre(cut, landmarks)))
    plane.SetNormalWorld(*flipLpsRas(cut.normal))
    plane.SetSizeMode(plane.SizeModeAbsolute)
    plane.SetSize(PLANE_MM, PLANE_MM)
    showHinge(nodes, cut)


def showHinge(nodes, cut):
    """Let the hinge lie in the plane, where a cut says."""
    for index, (label, place) in enumerate(zip(("anterior", "posterior"), hinge_ends(cut))):
        point = vtk.vtkVector3d(*flipLpsRas(place))
        if nodes.hinge.GetNumberOfControlPoints() <= index:
            nodes.hinge.AddControlPointWorld(point, label)
        else:
            nodes.hinge.SetNthControlPointPositionWorld(index, point)


def shownCut(nodes, basis, kind):
    """The cut that plane and hinge show; raises InputError where it is none."""
    origin, normal, end = np.zeros(3), np.zeros(3), np.zeros(3)
    nodes.plane.GetOriginWorld(origin)
    nodes.plane.GetNormalWorld(normal)
    ends = []
    for index in range(nodes.hinge.GetNumberOfControlPoints()):
        nodes.hinge.GetNthControlPointPositionWorld(index, end)
        ends.append(flipLpsRas(end.copy()))
    if len(ends) != 2:
        raise InputError(_("The hinge has lost an end."), _("Click Undo, or Plan again."))
    return drawn_cut(basis.landmarks, kind, flipLpsRas(origin), flipLpsRas(normal), np.array(ends))


def carryOut(nodes, basis, settings, placed, in3D):
    """Cut and turn the tibia as the nodes say, and draw it everywhere.

    Returns:
        (:class:`SSRKDLib.planning.osteotomy.Plan`, its surfaces).

    Raises:
        InputError: it cannot be done; what is drawn stays.
    """
    cut = shownCut(nodes, basis, settings.kind)
    plan = plan_osteotomy(basis.tibia, basis.landmarks, cut, settings.angle)
    parts = fragments(basis.tibia, basis.landmarks, plan, settings.tubercle)
    for name, node in nodes.parts.items():
        node.SetAndObservePolyData(_sharp(modelPolyData(getattr(parts, name))))
        node.GetDisplayNode().SetScalarVisibility(False)
    if basis.models:
        drawn = {name: nodes.parts[name] for name in ("distal", "wedge")}
        updateOutlines(drawn, placed, folderOf(nodes.plane), in3D)
    return plan, parts


def _sharp(polydata):
    """With an edge of its own to each cut surface, so that light does not run around it."""
    polydata.GetPointData().SetNormals(None)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(polydata)
    normals.SetFeatureAngle(45.0)
    normals.Update()
    return normals.GetOutput()


def export(folder, plan, basis, parts, pictures):
    """Write a plan into a folder of its own inside ``folder``; returns its path.

    Raises:
        OutputError: it cannot be written, or holds something else.
    """
    path = Path(folder) / "osteotomy"
    with replaced_folder(path, PLAN) as fresh:
        write_plan(fresh, plan, basis.landmarks, parts, knee_notes(basis.knee), None, pictures)
    return path
