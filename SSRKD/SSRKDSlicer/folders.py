"""The subject hierarchy: one folder per pair of radiographs; names, terminology."""

from __future__ import annotations

import slicer

from SSRKDLib.anatomy import COLOURS

#: SNOMED CT codes of DICOM's anatomic structures (PS3.16 CID 7184 and 4028).
_CODES = {
    "patella": "64234005",
    "femur": "71341001",
    "fibula": "87342007",
    "tibia": "12611008",
}
_SIDES = {"L": ("7771000", "Left"), "R": ("24028007", "Right")}
SIDE_WORDS = {"L": "left", "R": "right"}

#: Node attribute: which bone a node shows.
BONE = "SSRKD.Bone"


def terminologyEntry(bone, laterality):
    """Slicer's serialised terminology entry of a bone."""
    code, side = _SIDES[laterality]
    return (
        "Segmentation category and type - DICOM master list"
        "~SCT^123037004^Anatomical Structure"
        f"~SCT^{_CODES[bone]}^{bone.capitalize()}"
        f"~SCT^{code}^{side}"
        "~Anatomic codes - DICOM master list~^^~^^"
    )


def boneName(bone, laterality):
    """ "Left femur", for people."""
    return f"{SIDE_WORDS[laterality].capitalize()} {bone}"


def boneColour(bone):
    """sRGB, 0 to 1."""
    return COLOURS[bone]


def uniqueName(name):
    """The name, with a number where a node has it already.

    Slicer's own GenerateUniqueName numbers on after the nodes are gone.
    """
    taken, number = name, 0
    while slicer.mrmlScene.GetFirstNodeByName(taken) is not None:
        number += 1
        taken = f"{name}_{number}"
    return taken


def newFolder(name):
    """A new folder in the subject hierarchy; returns its item."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    unique, number = name, 0
    while hierarchy.GetItemChildWithName(hierarchy.GetSceneItemID(), unique):
        number += 1
        unique = f"{name}_{number}"
    return hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), unique)


def folderOf(*nodes):
    """The folder that the first of the nodes (some may be None) lies in, or None."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    for node in nodes:
        item = hierarchy.GetItemByDataNode(node) if node is not None else 0
        parent = hierarchy.GetItemParent(item) if item else 0
        if parent and parent != hierarchy.GetSceneItemID():
            return parent
    return None


def putInto(folder, *nodes):
    """Move nodes into a folder."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    for node in nodes:
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.SetItemParent(item, folder)


def subfolder(folder, name):
    """A folder in a folder, made if need be."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    return hierarchy.GetItemChildWithName(folder, name) or hierarchy.CreateFolderItem(folder, name)
