"""The nodes of a case, as its parameters refer to them."""

from __future__ import annotations

from SSRKDLib.core.anatomy import BONES

from ..scene.cases import noteSettings, original
from ..scene.folders import boneColour
from ..scene.parameters import VIEWS
from ..tasks import CaseNodes


def caseNodes(parameters):
    """:class:`CaseNodes` of a case's parameters; a bone whose display node was deleted gets another
    one."""
    nodeOf = parameters.nodeOf
    models = {bone: nodeOf(bone, "Model") for bone in BONES}
    made = CaseNodes(
        tuple(nodeOf(view, "Placed") for view in VIEWS),
        tuple(nodeOf(view, "Masks") for view in VIEWS),
        {bone: node for bone, node in models.items() if node is not None},
    )
    for bone, node in made.models.items():
        if node.GetDisplayNode() is None:  # the Data module's list of all nodes has these, too
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetColor(*boneColour(bone))
    return made


def sameCase(parameters, setup):
    """The case so far where it is of the set-up's radiographs, else an empty one: another pair
    gets nodes of its own, and the earlier ones stay."""
    case = caseNodes(parameters)
    for radiograph, placed in zip(setup.radiographs, case.placed):
        if placed is None:
            continue
        if radiograph.node not in (placed, original(placed)):
            return CaseNodes()
    return case if any(case.placed) else CaseNodes()


def areOfOthers(earlier, case):
    """Whether earlier nodes are of other images than those of a case that is about to be stored."""
    if not any((*earlier.placed, *earlier.masks, *earlier.models.values())):
        return False
    if set(earlier.models.values()) & set(case.models.values()):
        return False
    if not any(earlier.placed) or not any(case.placed):  # one of them is of a CT
        return True
    return list(map(original, earlier.placed)) != list(map(original, case.placed))


def storeCase(parameters, case):
    """Remember the nodes of a case in its parameters."""
    for index, view in enumerate(VIEWS):
        parameters.setNode(view, "Placed", case.placed[index])
        parameters.setNode(view, "Masks", case.masks[index])
    for bone in BONES:
        parameters.setNode(bone, "Model", case.models.get(bone))
    parameters.problem = ""
    noteSettings(parameters)
