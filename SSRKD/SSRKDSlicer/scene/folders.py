"""The subject hierarchy: one folder per pair of radiographs; names, terminology."""

from __future__ import annotations

import slicer

from SSRKDLib.core.anatomy import COLOURS
from SSRKDLib.core.terminology import SIDES

#: Node attribute: which bone a node shows.
BONE = "SSRKD.Bone"

#: Attribute of a folder that the module made.
MADE = "SSRKD.Folder"


def boneName(bone, laterality):
    """ "Left femur", for people; "Femur" where the side ("L", "R" or None) is not known."""
    return f"{SIDES[laterality]} {bone}".capitalize() if laterality else bone.capitalize()


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
    item = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), unique)
    hierarchy.SetItemAttribute(item, MADE, "true")
    return item


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
