"""How the two chosen radiographs were taken, from whichever source the user chose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from slicer.i18n import tr as _

from SSRKDLib.core.errors import GeometryError, InputError
from SSRKDLib.core.messages import about
from SSRKDLib.geometry.views import Rig, axes_angle
from SSRKDLib.radiographs.dicom_distances import Overrides
from SSRKDLib.radiographs.exposure import Source, beam_notes, sources_of, with_sources
from SSRKDLib.radiographs.rig_file import read_rig, source_from_dict, view_from_dict
from SSRKDLib.radiographs.rig_from_dicom import rig_from_tags

from ..scene.frames import regionCorners, worldToIjk
from ..scene.parameters import VIEWS
from ..scene.words import kneeOf, word
from .radiographs import RadiographNode


@dataclass(frozen=True)
class Setup:
    """Two radiographs and how they were taken.

    Attributes:
        rig: its views are in the order of ``radiographs``, whole images, without file names.
        radiographs: :class:`RadiographNode` of each view.
        crops: per view (left, top, columns, rows) in pixels, or None for the whole image.
    """

    rig: Rig
    radiographs: tuple
    crops: tuple = (None, None)

    def croppedRig(self):
        """The rig of the cropped images."""
        views = tuple(
            view if crop is None else view.cropped(*crop)
            for view, crop in zip(self.rig.views, self.crops)
        )
        return replace(self.rig, views=views)

    def asUsed(self, described):
        """The set-up as the program took it: what the rig left open, decided.

        Args:
            described: the rig of the cropped images, as a report has it.
        """
        views = []
        for view, crop, entry in zip(self.rig.views, self.crops, described["views"]):
            used = view_from_dict(entry)
            if crop is not None:
                origin = used.points_on_detector(np.array([-crop[0], -crop[1]]))
                used = replace(used, detector_origin=origin, size=view.size)
            views.append(used)
        return replace(self, rig=replace(self.rig, views=tuple(views)))

    def summary(self):
        """(known, assumed): a sentence, and a tuple of sentences."""
        views = self.rig.views
        parts = []
        for radiograph, view, crop in zip(self.radiographs, views, self.crops):
            sod = self.rig.source_to_object_distance(view)
            parts.append(
                _("{view}: {beam}SDD {sdd:.0f} mm, SOD {sod:.0f} mm, pixels {pixel:.3g} mm").format(
                    view=word(radiograph.role),
                    beam=_("slot scanner, ") if view.travel.any() else "",
                    sdd=view.source_to_detector_distance,
                    sod=sod,
                    pixel=view.pixel_spacing[0],
                )
                + (
                    _(", cropped to {columns} x {rows}").format(columns=crop[2], rows=crop[3])
                    if crop
                    else ""
                )
            )
        side = kneeOf(self.rig.laterality) if self.rig.laterality else _("side unknown")
        angle = axes_angle(views[0].axis, views[1].axis)
        known = _("{side}; views {angle:.0f}° apart; {views}.").format(
            side=side, angle=angle, views="; ".join(parts)
        )
        return known[0].upper() + known[1:], tuple(self.rig.assumptions)


def setupFromParameters(parameters, trialSpacing=None):
    """The set-up that the panel describes.

    Args:
        parameters: :class:`~SSRKDSlicer.scene.parameters.Parameters`.
        trialSpacing: pixel spacing that stands in where none was measured, mm; for reading the
            distances of files without a pixel spacing.

    Raises:
        SSRKDError: what is missing or contradicts itself, in a sentence.
    """
    radiographs = tuple(RadiographNode(parameters.nodeOf(view), view) for view in VIEWS)
    if radiographs[0].node is radiographs[1].node:
        raise GeometryError(
            _("The same radiograph is chosen for both views."),
            _("Choose the frontal and the lateral one."),
        )
    side = None if parameters.side == "auto" else parameters.side
    makers = {
        "images": _fromImages,
        "rig": _fromRigFile,
        "calibration": _fromCalibration,
        "manual": _fromNumbers,
    }
    scales = tuple(parameters.scale(view) or trialSpacing for view in VIEWS)
    rig, radiographs = makers[parameters.geometry](parameters, radiographs, side, scales)
    if parameters.geometry in ("rig", "manual"):
        notes = [
            note
            for view, radiograph in zip(rig.views, radiographs)
            for note in beam_notes(view, radiograph.name, radiograph.dicomTags())
        ]
        rig = replace(rig, assumptions=(*rig.assumptions, *notes))
    crops = tuple(
        next(
            (
                cropOfRoi(parameters.crop(view), radiograph)
                for view in VIEWS
                if parameters.nodeOf(view) is radiograph.node
            ),
            None,
        )
        for radiograph in radiographs
    )
    return Setup(rig, radiographs, crops)


def setupFromRig(frontal, lateral, rig=None, laterality=None):
    """The set-up of two nodes and a rig, for scripts.

    Args:
        frontal, lateral: volume nodes.
        rig: :class:`SSRKDLib.geometry.views.Rig`, path of a rig file, or None: from the images.
        laterality: "L", "R" or None (from the rig or the images).
    """
    radiographs = (RadiographNode(frontal, "frontal"), RadiographNode(lateral, "lateral"))
    if rig is None:
        rig, radiographs = rigFromImages(radiographs, laterality, (None, None), None)
        return Setup(rig, radiographs)
    rig = rig if isinstance(rig, Rig) else read_rig(rig)
    return Setup(_fitted(rig, radiographs, laterality), radiographs)


def _fromImages(parameters, radiographs, side, scales):
    values = None if parameters.values == "auto" else parameters.values
    return rigFromImages(radiographs, side, scales, values)


def rigFromImages(radiographs, side, scales, values):
    """Rig and radiographs in its order, from what travels with the images: the geometry that the
    module stored with them, or their DICOM tags.

    Args:
        radiographs: frontal and lateral :class:`RadiographNode`.
        side: "L", "R" or None.
        scales: measured pixel spacing on the detector per view, mm, or None.
        values: kind of pixel values, or None (from the file).
    """
    stored = [radiograph.storedRig() for radiograph in radiographs]
    if all(stored):
        return _fromStored(stored, side, values), radiographs
    tags = [radiograph.dicomTags() for radiograph in radiographs]
    if None in tags:
        without = radiographs[tags.index(None)]
        raise GeometryError(
            _("The {view} radiograph '{name}' does not say how it was taken.").format(
                view=word(without.role), name=without.name
            ),
            _("Choose 'Distances and angles', or a rig or calibration file, under Geometry."),
        )
    own = [
        Overrides(
            pixel_spacing=None if scale is None else (scale, scale),
            values=values or radiograph.values()[0],
        )
        for scale, radiograph in zip(scales, radiographs)
    ]
    rig, exchanged = rig_from_tags(
        tags, [radiograph.name for radiograph in radiographs],
        laterality=side, frontal=own[0], lateral=own[1],
    )  # fmt: skip
    notes = tuple(
        about(radiograph.name, note)
        for radiograph, scale in zip(radiographs, scales)
        for note in (
            *radiograph.values()[1],
            *((_("the pixel spacing comes from the marked object."),) if scale else ()),
        )
    )
    if exchanged:
        radiographs = (
            RadiographNode(radiographs[1].node, "frontal"),
            RadiographNode(radiographs[0].node, "lateral"),
        )
    return replace(rig, assumptions=(*rig.assumptions, *notes)), radiographs


def _fromStored(stored, side, values):
    if any(stored[0][key] != stored[1][key] for key in ("frame", "patient_to_rig")):
        raise GeometryError(
            _("The two radiographs were placed in different frames."),
            _("Choose two radiographs of the same simulation."),
        )
    laterality = side or stored[0]["laterality"]
    views = tuple(view_from_dict(one["view"], index) for index, one in enumerate(stored))
    sources = [source_from_dict(one["view"], index) for index, one in enumerate(stored)]
    if values:
        sources = [replace(source, values=values) for source in sources]
    rig = Rig(
        views, stored[0]["frame"], laterality, stored[0]["patient_to_rig"],
        # Scenes that were saved before do not say.
        simultaneous=all(one.get("simultaneous", False) for one in stored),
    )  # fmt: skip
    return with_sources(rig, sources)


def _fromRigFile(parameters, radiographs, side, scales):
    if not parameters.rigFile:
        raise GeometryError(_("No rig file is chosen."), _("Choose the JSON file of the rig."))
    return _fitted(read_rig(parameters.rigFile), radiographs, side), radiographs


def pairOf(rig):
    """The (view, source) of a rig's frontal and lateral view: by name, else the first two.

    Raises:
        GeometryError: it has one view.
    """
    if len(rig.views) < len(VIEWS):
        raise GeometryError(
            _("The rig has one view; the module takes a frontal and a lateral one."),
            _("Choose a rig of both, or use the command reconstruct, which takes one radiograph."),
        )
    every = list(zip(rig.views, sources_of(rig)))
    named = [next((one for one in every if one[0].name.lower() == view), None) for view in VIEWS]
    return named if None not in named else every[:2]


def _fitted(rig, radiographs, side):
    """The views of a rig that belong to the radiographs."""
    views, sources = zip(*pairOf(rig))
    assumptions = rig.assumptions
    if len(rig.views) > len(views):
        names = " and ".join(f"'{view.name}'" for view in views)
        assumptions = (
            *assumptions,
            _("The rig has {count} views; {names} are used.").format(
                count=len(rig.views), names=names
            ),
        )
    rig = Rig(
        views, rig.frame, side or rig.laterality, rig.patient_to_rig, assumptions, rig.simultaneous
    )
    sources = [replace(source, image=None) for source in sources]
    return with_sources(_checkedSizes(rig, radiographs), sources)


def _checkedSizes(rig, radiographs):
    for view, radiograph in zip(rig.views, radiographs):
        if view.size != radiograph.size:
            raise GeometryError(
                _(
                    "'{name}' has {columns} x {rows} pixels; the geometry of its view is for "
                    "{wantedColumns} x {wantedRows}."
                ).format(
                    name=radiograph.name,
                    columns=radiograph.size[0],
                    rows=radiograph.size[1],
                    wantedColumns=view.size[0],
                    wantedRows=view.size[1],
                ),
                _("Choose the image that belongs to the geometry, uncropped."),
            )
    return rig


def _fromCalibration(parameters, radiographs, side, scales):
    files = (parameters.frontalCalibration, parameters.lateralCalibration)
    for view, file in zip(VIEWS, files):
        if not file:
            raise GeometryError(
                _("No calibration file is chosen for the {view} view.").format(view=word(view)),
                _("Choose the text file with camera matrix, rotation and translation."),
            )
    from SSRKDLib.radiographs.rig_from_calibration import EIGHT_BIT_AIR, rig_of_cameras

    kinds, notes = _kinds(parameters, radiographs)
    rig = rig_of_cameras(
        files, [radiograph.size for radiograph in radiographs], kinds, names=VIEWS, laterality=side,
        air=[EIGHT_BIT_AIR if radiograph.isEightBit() else None for radiograph in radiographs],
    )  # fmt: skip
    return replace(rig, assumptions=notes), radiographs


def _fromNumbers(parameters, radiographs, side, scales):
    from SSRKDLib.geometry.known import Known
    from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances

    kinds, notes = _kinds(parameters, radiographs)
    views = []
    for view, radiograph, scale in zip(VIEWS, radiographs, scales):
        spacing = scale or parameters.number(view, "Spacing")
        if spacing is None:
            raise GeometryError(
                _("The pixel spacing of the {view} radiograph is unknown.").format(view=word(view)),
                _("Type it, or measure it with a calibration sphere or ruler."),
            )
        angle, beam = parameters.number(view, "Angle"), "typed"
        if angle is None:
            angle, beam = standardAngle(view, side), "assumed"
            if view == "lateral":
                notes += (
                    _("The lateral view is taken as mediolateral ({angle:.0f}°).").format(
                        angle=angle
                    ),
                )
        views.append(
            PlainView(
                angle=angle,
                sdd=parameters.number(view, "Sdd"),
                sod=parameters.number(view, "Sod"),
                pixel_spacing=(spacing, spacing),
                size=radiograph.size,
                name=view,
                known=Known("typed", "typed", beam, "assumed"),
            )
        )
    rig = with_sources(rig_from_distances(views, side), [Source(values=kind) for kind in kinds])
    notes += (_("The images are taken to be seen from the tube, head up."),)
    return replace(rig, assumptions=(*rig.assumptions, *notes)), radiographs


def standardAngle(view, side):
    """Angle about the leg where the user gives none: AP, and mediolateral (the tube at the inner
    side of the knee), degrees."""
    if view == "frontal":
        return 0.0
    return 90.0 if side == "R" else -90.0


def _kinds(parameters, radiographs):
    """Kind of pixel values per radiograph, and sentences on what was assumed."""
    if parameters.values != "auto":
        return [parameters.values] * 2, ()
    kinds, notes = [], ()
    for radiograph in radiographs:
        kind, more = radiograph.values()
        if kind is None:
            kind, sentence = radiograph.guessedValues()
            more = (sentence,)
        kinds.append(kind)
        notes += tuple(f"{radiograph.name}: {sentence}" for sentence in more)
    return kinds, notes


def cropOfRoi(roiNode, radiograph):
    """The part of a radiograph that lies in a region of interest: (left, top, columns, rows).

    Args:
        roiNode: vtkMRMLMarkupsROINode around the volume where it was loaded, or None.
        radiograph: :class:`RadiographNode`.

    Returns:
        None where there is no region, or it holds the whole image.

    Raises:
        InputError: the region and the image do not overlap, or hardly.
    """
    if roiNode is None:
        return None
    pixels = worldToIjk(radiograph.node, regionCorners(roiNode))[:, :2]
    low = np.maximum(np.round(pixels.min(0) + 0.5), 0).astype(int)
    high = np.minimum(np.round(pixels.max(0) + 0.5), radiograph.size).astype(int)
    columns, rows = (int(n) for n in high - low)
    if min(columns, rows) < 32:
        raise InputError(
            _("The crop region of the {view} radiograph holds less than 32 pixels of it.").format(
                view=word(radiograph.role)
            ),
            _("Move its handles around the knee, or remove the region."),
        )
    if (columns, rows) == radiograph.size:
        return None
    return int(low[0]), int(low[1]), columns, rows
