"""Cases: pairs of radiographs, and what was made of each, side by side in one scene.

The module's parameter node holds the case that is worked on. Each case has a node of its own
besides, named as the case is, which keeps its parameters and references while another one is worked
on; the parameter node refers to the one whose turn it is. All are saved with the scene.
"""

from __future__ import annotations

import json

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import NodeModify

from SSRKDLib.core.anatomy import BONES

from .folders import MADE, folderOf, uniqueName
from .parameters import VIEWS, Parameters
from .stored import storedObject
from .words import kneeOfPair

#: Node attribute of a case's node.
_CASE = "SSRKD.Case"

#: Node references: of the parameter node, whose turn it is; of a case, what was seen of it when it
#: was left.
_CURRENT, _SHOWN = "Case", "Shown"

#: Parameters that say how the user works, whatever the case.
_COMMON = frozenset(
    getattr(Parameters, name).key
    for name in (
        "weights", "device", "spacing", "surface", "useMasks", "outlines", "radiographsIn3D",
        "uncertainty", "exportFormat", "exportFolder", "distanceRange", "colour",
        "showReference", "landmarks", "ctPreset", "ctEnergy", "ctNoise",
    )
)  # fmt: skip

#: References to what the user brought for more than one case, perhaps.
_BROUGHT = frozenset({"ReferenceNode", "CompareCt", "CtVolume", "CtRegion", "PlanBones"})

#: Parameters that say how a pair was taken.
_OF_A_PAIR = (
    *(
        getattr(Parameters, name).key
        for name in (
            "side", "geometry", "rigFile", "frontalCalibration", "lateralCalibration", "values",
            "pairFolder",
        )
    ),
    *(view.capitalize() + what for view in VIEWS for what in Parameters.NUMBERS),
)  # fmt: skip

#: Parameter: those, as JSON, of the pair that the bones were made of.
_MADE_WITH = "MadeWith"

#: Ends of the roles of references to what the module made.
_MADE = ("Placed", "Masks", "Model", "Segmentation", "Plane", "Hinge")

#: What belongs to one radiograph, by the reference that says to which.
_TOOLS = {"Cropped": ("Crop", "Cropped"), "Scaled": ("Scaled", "Marker", "Ball")}


def casesOf():
    """The nodes of the scene's cases, in the order in which they were begun."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
    return [node for node in nodes if node.GetAttribute(_CASE)]


def currentCase(parameters):
    """The node of the case that is worked on, or None: the only one has none yet."""
    return parameters.node.GetNodeReference(_CURRENT)


def keptCurrent(parameters):
    """As :func:`currentCase`, made where there is none."""
    case = currentCase(parameters)
    if case is None:
        case = _newNode(nameOf(parameters))
        parameters.node.SetNodeReferenceID(_CURRENT, case.GetID())
    return case


def nameOf(parameters):
    """What a case that has no node yet is called: as the folder of what was made of it, else after
    what it will be made of."""
    folder = _folderOf(parameters.node)
    if folder is not None:
        return slicer.mrmlScene.GetSubjectHierarchyNode().GetItemName(folder)
    pair = list(filter(None, map(parameters.nodeOf, VIEWS)))
    source = parameters.nodeOf("ct", "Volume")
    if pair or source is None:
        return kneeOfPair([node.GetName() for node in pair]) if pair else _("Knee")
    return _("Knee of {name}").format(name=source.GetName())


def parametersOf(parameters, case):
    """The :class:`~SSRKDSlicer.scene.parameters.Parameters` of a case, be it the one that is
    worked on or another."""
    return parameters if case is None or case is currentCase(parameters) else Parameters(case)


def newCase(parameters, name):
    """Another case without radiographs; it is not gone to."""
    keptCurrent(parameters)
    return _newNode(name)


def noteSettings(parameters):
    """Note how the pair was taken that something was made of now."""
    node = parameters.node
    noted = {key: node.GetParameter(key) for key in _OF_A_PAIR}
    node.SetParameter(_MADE_WITH, json.dumps(noted))


def setApart(parameters, name, pair):
    """Before something is stored that was made of another pair, or of a CT: leave what was made so
    far to the case that is worked on, with the pair it was made of and how that was taken, and go
    on in a new one.

    Args:
        parameters: of the case that is worked on.
        name: of the new case.
        pair: its frontal and lateral radiograph, None and None where it is of a CT.

    Returns:
        The node of the case before.
    """
    for view in VIEWS:
        parameters.setNode(view, "", original(parameters.nodeOf(view, "Placed")))
    before = keptCurrent(parameters)
    new = Parameters(newCase(parameters, name))
    _copy(parameters.node, new.node)
    new.pairFolder = new.problem = ""
    for role in _roles(new.node):
        if role.endswith(_MADE):
            new.node.RemoveNodeReferenceIDs(role)
    for view, radiograph in zip(VIEWS, pair):
        new.setNode(view, "", radiograph)
        for mark, tools in _TOOLS.items():
            owner = new.nodeOf(view, mark)
            other = parameters if owner is not None and owner is radiograph else new
            for tool in tools:
                other.setNode(view, tool, None)
    for key, value in _madeWith(parameters).items():
        parameters.node.SetParameter(key, value)
    goTo(parameters, new.node)
    return before


def _madeWith(parameters):
    try:
        form = {f"{key}?": str for key in _OF_A_PAIR}
        noted = storedObject(parameters.node.GetParameter(_MADE_WITH), form)
    except ValueError:
        return {}
    return {key: noted[key] for key in _OF_A_PAIR if key in noted}


def goTo(parameters, case):
    """Work on another case: what is seen of the one before is hidden, until it is gone back to."""
    before = keptCurrent(parameters)
    _copy(parameters.node, before)
    putAway(before)
    _copy(case, parameters.node)
    parameters.node.SetNodeReferenceID(_CURRENT, case.GetID())
    for node in _references(case, _SHOWN):
        if node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(True)
    case.RemoveNodeReferenceIDs(_SHOWN)


def keepBeforeImport(parameters):
    """Before a scene is added, whose parameters will take the place of these: leave the case that
    is worked on to a node of its own; None where it is empty."""
    if not _nodesOf(parameters.node) and not parameters.pairFolder:
        return None
    case = keptCurrent(parameters)
    _copy(parameters.node, case)
    return case


def afterImport(parameters, before):
    """Work on what a scene that was added was left at, or on as before where it held no case.

    Args:
        before: what :func:`keepBeforeImport` returned.
    """
    if before is None or currentCase(parameters) is before:  # the scene had no parameters
        return
    if _nodesOf(parameters.node) or parameters.pairFolder:
        keptCurrent(parameters)  # saved with its only case, which had no node yet
        putAway(before)
    else:
        _copy(before, parameters.node)
        parameters.node.SetNodeReferenceID(_CURRENT, before.GetID())


def putAway(case):
    """Hide what is seen of a case that is not worked on, and note what that was."""
    noted = set(_references(case, _SHOWN))
    for node in _nodesOf(case):
        display = node.GetDisplayNode() if _isDrawn(node) else None
        if display is not None and display.GetVisibility():
            if node not in noted:
                case.AddNodeReferenceID(_SHOWN, node.GetID())
            display.SetVisibility(False)


def removeCase(parameters, case):
    """Remove a case with its radiographs and all that was made of them; what another case uses,
    references and CTs stay. Its neighbour in the list is gone to, or an empty one."""
    cases = casesOf()
    if case is currentCase(parameters):
        at = cases.index(case)
        others = cases[:at][-1:] or cases[1:2]
        goTo(parameters, others[0] if others else newCase(parameters, _("Knee")))
    kept = set().union(*(set(_references(one)) for one in casesOf() if one is not case))
    kept |= set(_references(parameters.node))
    folder = _folderOf(case)
    for node in _nodesOf(case) - kept:
        if slicer.mrmlScene.IsNodePresent(node):  # one may go with another
            slicer.mrmlScene.RemoveNode(node)
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    if folder and not _nodesIn(folder):
        hierarchy.RemoveItem(folder, True, True)
    slicer.mrmlScene.RemoveNode(case)


def usedByOthers(parameters):
    """Nodes that cases refer to that are not worked on."""
    current = currentCase(parameters)
    return {node for case in casesOf() if case is not current for node in _references(case)}


def original(placed):
    """The radiograph that a placed one is a copy of, or itself."""
    return placed and (placed.GetNodeReference("SSRKD.CopyOf") or placed)


def _newNode(name):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", uniqueName(name))
    node.SetAttribute(_CASE, "true")
    return node


def _copy(source, target):
    """Give a node another one's parameters and references, but for those of no single case."""
    with NodeModify(target):
        for key in set(target.GetParameterNames()) - _COMMON:
            target.UnsetParameter(key)
        for key in set(source.GetParameterNames()) - _COMMON:
            target.SetParameter(key, source.GetParameter(key))
        for role in _roles(target):
            target.RemoveNodeReferenceIDs(role)
        for role in _roles(source):
            target.SetNodeReferenceID(role, source.GetNodeReferenceID(role))


def _roles(node):
    count = node.GetNumberOfNodeReferenceRoles()
    roles = [node.GetNthNodeReferenceRole(index) for index in range(count)]
    return [role for role in roles if role not in (_CURRENT, _SHOWN)]


def _references(node, *roles):
    """The nodes that a node refers to, in some roles or as parameters do."""
    found = [
        node.GetNthNodeReference(role, index)
        for role in roles or _roles(node)
        for index in range(node.GetNumberOfNodeReferences(role))
    ]
    return [one for one in found if one is not None]


def _nodesOf(case):
    """What is of one case alone: radiographs and what was made of them."""
    own = (
        node for role in _roles(case) if role not in _BROUGHT for node in _references(case, role)
    )
    folder = _folderOf(case)
    return {*own, *(_nodesIn(folder) if folder else ())}


def _folderOf(case):
    """The folder that was made for a case, or None; never one that the user made."""
    parameters = Parameters(case)
    roles = ((bone, "Model") for bone in BONES)
    views = ((view, what) for what in ("Masks", "Placed") for view in VIEWS)
    folder = folderOf(*(parameters.nodeOf(*one) for one in (*roles, *views)))
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    return folder if folder and hierarchy.GetItemAttribute(folder, MADE) else None


def _nodesIn(folder):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(folder, children, True)
    items = [children.GetId(index) for index in range(children.GetNumberOfIds())]
    return list(filter(None, map(hierarchy.GetItemDataNode, items)))


def _isDrawn(node):
    """Whether views draw a node by its own display; volumes are chosen by the views."""
    return node.IsA("vtkMRMLDisplayableNode") and not node.IsA("vtkMRMLVolumeNode")
