"""The module's state, in a parameter node: saved and loaded with the scene."""

from __future__ import annotations

from SSRKDLib.evaluation.alignment import MODES
from SSRKDLib.geometry.rig_presets import PRESETS
from SSRKDLib.models.devices import DEVICES
from SSRKDLib.radiographs.intensity import VALUE_KINDS
from SSRKDLib.reconstruction.choices import POSES, SURFACES

#: Roles of the two radiographs, everywhere in the module.
VIEWS = ("frontal", "lateral")

#: How a reference is laid on a reconstruction; "keep": as it is now.
ALIGNMENTS = (*MODES, "keep")


class _Text:
    """A text parameter; with ``choices``, anything else reads as the default."""

    def __init__(self, key, default="", choices=None):
        self.key, self.default, self.choices = key, default, choices

    def __get__(self, owner, kind=None):
        if owner is None:
            return self
        value = owner.node.GetParameter(self.key)
        if not value or (self.choices and value not in self.choices):
            return self.default
        return value

    def __set__(self, owner, value):
        if value != self.__get__(owner):
            owner.node.SetParameter(self.key, str(value))


class _Number(_Text):
    """A number; None stands for unknown, where that is the default."""

    def __get__(self, owner, kind=None):
        if owner is None:
            return self
        try:
            return float(owner.node.GetParameter(self.key))
        except ValueError:
            return self.default

    def __set__(self, owner, value):
        if value != self.__get__(owner):
            owner.node.SetParameter(self.key, "" if value is None else repr(float(value)))


class _Flag(_Text):
    def __get__(self, owner, kind=None):
        if owner is None:
            return self
        value = owner.node.GetParameter(self.key)
        return value == "true" if value in ("true", "false") else self.default

    def __set__(self, owner, value):
        if bool(value) != self.__get__(owner):
            owner.node.SetParameter(self.key, "true" if value else "false")


class Parameters:
    """The typed face of the module's parameter node.

    Args:
        node: what ``SSRKDLogic().getParameterNode()`` returns.

    Numbers per view and nodes per view are reached through :meth:`number` and :meth:`nodeOf`, whose
    keys start with the view's name.
    """

    side = _Text("Side", "auto", ("auto", "L", "R"))
    geometry = _Text("Geometry", "images", ("images", "rig", "calibration", "manual"))
    rigFile = _Text("RigFile")
    frontalCalibration = _Text("FrontalCalibration")
    lateralCalibration = _Text("LateralCalibration")
    values = _Text("Values", "auto", ("auto", *VALUE_KINDS))
    markerSize = _Number("MarkerSize", 25.0)
    markerPlace = _Text("MarkerPlace", "knee", ("knee", "detector"))
    weights = _Text("Weights")
    device = _Text("Device", "auto", DEVICES)
    spacing = _Number("Spacing", 1.0)
    surface = _Text("Surface", SURFACES[0], SURFACES)
    pose = _Text("Pose", POSES[0], POSES)
    useMasks = _Flag("UseMasks", True)
    outlines = _Flag("Outlines", True)
    radiographsIn3D = _Flag("RadiographsIn3D", False)
    uncertainty = _Flag("Uncertainty", False)
    exportFormat = _Text("ExportFormat", "STL", ("STL", "OBJ", "PLY", "labelmap"))
    exportFolder = _Text("ExportFolder")
    align = _Text("Align", "", ALIGNMENTS)  # "": not chosen, see the section
    distanceRange = _Number("DistanceRange", 3.0)
    colour = _Flag("Colour", True)
    showReference = _Flag("ShowReference", True)
    landmarks = _Flag("Landmarks", False)
    ctPreset = _Text("CtPreset", "orthogonal", tuple(PRESETS))
    ctSide = _Text("CtSide", "auto", ("auto", "L", "R"))
    ctEnergy = _Number("CtEnergy", 60.0)
    ctNoise = _Flag("CtNoise", True)
    pairFolder = _Text("PairFolder")  # of the case's files, where a folder of pairs was opened
    problem = _Text("Problem")  # why its last reconstruction failed

    #: Defaults of the numbers per view: distances in mm, angle in degrees about the leg.
    NUMBERS = {  # noqa: RUF012
        "Sdd": 1150.0,
        "Sod": 1100.0,
        "Spacing": None,
        "Angle": None,
        "ScaleSpacing": None,
    }

    def __init__(self, node):
        self.node = node

    def scale(self, view):
        """Pixel spacing on the detector that was measured on the view's radiograph, mm, or None;
        what was measured on another radiograph does not count."""
        if self.nodeOf(view) is None or self.nodeOf(view, "Scaled") is not self.nodeOf(view):
            return None
        return self.number(view, "ScaleSpacing")

    def setScale(self, view, spacing):
        """Store what :meth:`scale` gives for the radiograph that is chosen now."""
        self.setNode(view, "Scaled", None if spacing is None else self.nodeOf(view))
        self.setNumber(view, "ScaleSpacing", spacing)

    def crop(self, view):
        """The crop region of the view's radiograph, or None; one made on another radiograph does
        not count."""
        region = self.nodeOf(view, "Crop")
        if region is None or self.nodeOf(view, "Cropped") is not self.nodeOf(view):
            return None
        return region

    def number(self, view, what):
        """A number of a view (see :data:`NUMBERS`), or None where it is unknown."""
        return self._numberOf(view, what).__get__(self)

    def setNumber(self, view, what, value):
        self._numberOf(view, what).__set__(self, value)

    def _numberOf(self, view, what):
        return _Number(view.capitalize() + what, self.NUMBERS[what])

    def chosenPart(self, bone):
        """Name of the part of the reference that the user picked for a bone, or ""."""
        return self.node.GetParameter("Part" + bone.capitalize())

    def setChosenPart(self, bone, name):
        if self.chosenPart(bone) != name:
            self.node.SetParameter("Part" + bone.capitalize(), name)

    def nodeOf(self, role, what=""):
        """A referenced node, or None: ``nodeOf("frontal")``, ``nodeOf("frontal", "Masks")``."""
        return self.node.GetNodeReference(role.capitalize() + what)

    def setNode(self, role, what, node):
        key = role.capitalize() + what
        if self.node.GetNodeReference(key) is not node:
            self.node.SetNodeReferenceID(key, node.GetID() if node is not None else None)
