"""Where a model's bone lay in each radiograph, if it moved between them; kept with the model."""

from __future__ import annotations

import json

import numpy as np

from ..scene.parameters import VIEWS
from ..scene.stored import storedObject

#: Node attribute of a model: per radiograph the 4x4, LPS mm, from the surface that the model holds
#: to where the bone lay, and the radiograph in whose pose it holds it, as JSON.
POSES = "SSRKD.Poses"


def storePoses(node, shown, matrices):
    """Let the poses of a bone travel with its model.

    Args:
        node: the model.
        shown: "frontal" or "lateral": the radiograph in whose pose the model holds its surface;
            None where nothing moved.
        matrices: by radiograph, from that surface to where the bone lay in it; LPS mm, rigid.
    """
    if shown is None:
        node.RemoveAttribute(POSES)
        return
    kept = {view: np.asarray(matrices[view]).tolist() for view in VIEWS}
    node.SetAttribute(POSES, json.dumps({"shown": shown, **kept}))


def shownPose(node):
    """The radiograph in whose pose a model holds its surface; None where the bone did not move."""
    return _stored(node).get("shown")


def poseIn(node, view):
    """The 4x4, LPS mm, from the surface that a model holds to where its bone lay in a radiograph;
    the identity where it did not move."""
    return np.array(_stored(node).get(view, np.eye(4)), dtype=np.float64)


def _stored(node):
    try:
        kept = storedObject(node.GetAttribute(POSES), {"shown": set(VIEWS)})
        square = all(np.shape(kept[view]) == (4, 4) for view in VIEWS if view in kept)
        return kept if square else {}
    except ValueError:
        return {}
