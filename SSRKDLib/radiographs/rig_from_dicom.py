"""A rig from the tags of a frontal and a lateral DICOM radiograph.

Source: DICOM PS3.3, C.8.7.5 (XA positioner), C.8.11.4 and C.8.11.5 (DX detector and positioning),
C.8.1.1 (CR), C.8.19 (enhanced XA), 10.7 (pixel spacing and its calibration), C.7.6.1.1.1 (patient
orientation). What the files do not contain and can be assumed is assumed, and reported in
``Rig.assumptions``; what cannot be assumed is refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.messages import Message, about
from SSRKDLib.geometry.centred_views import centred_slot_view, centred_view
from SSRKDLib.geometry.detector_pose import (
    UP,
    check_distances,
    laid_out,
    orientation_vector,
    seen_from_detector,
    seen_from_tube,
)
from SSRKDLib.geometry.known import Known
from SSRKDLib.geometry.slot_view import SlotView
from SSRKDLib.geometry.views import MINIMUM_AXES_ANGLE_DEGREES, Rig, View, axes_angle
from SSRKDLib.radiographs.dicom_directions import beam_of, view_from_orientation
from SSRKDLib.radiographs.dicom_distances import (
    Overrides,
    distances,
    origins_of_distances,
    spacing_on_detector,
)
from SSRKDLib.radiographs.dicom_pairs import doubts_of_pair, stated_laterality
from SSRKDLib.radiographs.dicom_tags import DicomTags, read_dicom_tags
from SSRKDLib.radiographs.dicom_words import view_key
from SSRKDLib.radiographs.exposure import RadiographRig, Source, with_sources
from SSRKDLib.radiographs.intensity import needs_picture, values_from_dicom
from SSRKDLib.radiographs.reading import read_radiograph
from SSRKDLib.radiographs.slot_scanners import slot_distances, slot_spacing


def rig_from_dicom(
    frontal_path: str | os.PathLike,
    lateral_path: str | os.PathLike,
    *,
    laterality: str | None = None,
    frontal: Overrides | None = None,
    lateral: Overrides | None = None,
    tags: Sequence[DicomTags] | None = None,
) -> RadiographRig:
    """A rig in LPS with the iso-centre at the origin.

    Args:
        frontal_path, lateral_path: the two files. Where their tags show that they were exchanged,
            the tags are believed, and it is reported.
        laterality: "L", "R" or None (from the files).
        frontal, lateral: overrides per view.
        tags: of the two files, where they were read already.

    Raises:
        ImageError: a file that cannot be read or is not a single-frame radiograph.
        GeometryError: tags that contradict each other, two views from the same side, or no pixel
            spacing.
    """
    paths = (str(frontal_path), str(lateral_path))
    rig, exchanged = rig_from_tags(
        tags or [tags_of_file(path) for path in paths],
        [Path(path).name for path in paths],
        laterality=laterality,
        frontal=frontal,
        lateral=lateral,
    )
    images = paths[::-1] if exchanged else paths
    return with_sources(
        rig, [replace(source, image=image) for source, image in zip(rig.sources, images)]
    )


def tags_of_file(path: str) -> DicomTags:
    """With what the picture shows, where the tags alone do not tell."""
    tags = read_dicom_tags(path)
    return read_radiograph(path).dicom if needs_picture(tags) else tags


def rig_from_tags(
    tags: Sequence[DicomTags],
    labels: list[str],
    *,
    laterality: str | None = None,
    frontal: Overrides | None = None,
    lateral: Overrides | None = None,
) -> tuple[RadiographRig, bool]:
    """:func:`rig_from_dicom` for tags that were read already.

    Args:
        tags: of the frontal and of the lateral file.
        labels: file names for messages.
        laterality, frontal, lateral: as there.

    Returns:
        The rig, without images, and whether the two files are exchanged in it.
    """
    tags = _described(tags)
    side, assumptions = stated_laterality(tags, laterality)
    assumptions += doubts_of_pair(tags)
    views, sources = [], []
    for name, label, one, own in zip(("frontal", "lateral"), labels, tags, (frontal, lateral)):
        view, notes = view_from_tags(one, name, side, own, label)
        source, more = source_from_tags(one, own)
        views.append(view)
        sources.append(source)
        assumptions += [*notes, *(about(label, note) for note in (*more, *one.problems))]
    slots = all(one.slot_scanner for one in tags)
    if slots:
        views, notes = _level(views)
        assumptions += notes
    angle = axes_angle(views[0].axis, views[1].axis)
    if angle < MINIMUM_AXES_ANGLE_DEGREES:
        plane = "frontal" if abs(views[0].axis[1]) > 0.7 else "same"
        plane = "lateral" if abs(views[0].axis[0]) > 0.7 else plane
        raise GeometryError(
            "Both files show the {plane} view (axes at {angle:.0f} degrees).",
            "Give one frontal and one lateral radiograph, or state the view positions in "
            "a rig (rig --view AP LL, for example).",
            plane=plane,
            angle=angle,
        )
    exchanged = abs(views[0].axis[0]) > 0.7 and abs(views[1].axis[1]) > 0.7
    if exchanged:
        assumptions.append("The frontal and the lateral file were exchanged, as their tags show.")
        views = [replace(views[1], name="frontal"), replace(views[0], name="lateral")]
        sources.reverse()
    rig = Rig(tuple(views), laterality=side, assumptions=tuple(assumptions), simultaneous=slots)
    return with_sources(rig, sources), exchanged


def view_from_tags(
    tags: DicomTags,
    name: str,
    laterality: str | None,
    overrides: Overrides | None = None,
    label: str = "",
) -> tuple[View, list[str]]:
    """The view that a file's tags describe, and sentences on what was assumed.

    Args:
        tags: of the file.
        name: "frontal" or "lateral": the role given to the file, used where tags are silent.
        laterality: "L", "R" or None.
        overrides: what the user knows better.
        label: file name for messages.

    Raises:
        GeometryError: see :func:`rig_from_dicom`.
    """
    own = overrides or Overrides()
    label = label or name
    axis, column, row, notes = _direction(tags, name, laterality, own, label)
    if tags.slot_scanner:
        view, more = _slot_view(tags, name, (axis, column, row), own, label)
        return view, notes + more
    sdd, sod, more = distances(tags, own, label)
    notes += more
    check_distances(name, sdd, sod)
    spacing, more = spacing_on_detector(tags, own, sod / sdd, label)
    notes += more
    view = centred_view(
        name,
        axis,
        column,
        row,
        sdd=sdd,
        sod=sod,
        pixel_spacing=spacing,
        size=tags.size,
        centre_pixel=tags.isocentre_pixel,
        known=_known(tags, own),
    )
    return view, notes


def _slot_view(
    tags: DicomTags,
    name: str,
    directions: tuple[np.ndarray, np.ndarray, np.ndarray],
    own: Overrides,
    label: str,
) -> tuple[SlotView, list[str]]:
    axis, column, row = directions
    sdd, sod, notes = slot_distances(
        tags.slot_scanner,
        abs(axis[1]) > 0.7,
        tags.source_to_detector if own.sdd is None else own.sdd,
        tags.source_to_isocentre if own.sod is None else own.sod,
        label,
    )
    check_distances(name, sdd, sod)
    # Across the patient comes first, which are the rows of an image that lies on its side.
    order = 1 if abs(row @ UP) > abs(column @ UP) else -1
    given = (
        (own.pixel_spacing, None)
        if own.pixel_spacing
        else (tags.imager_spacing, tags.pixel_spacing)
    )
    spacing, more = slot_spacing(*(pair and pair[::order] for pair in given), sdd, sod, label)
    view = centred_slot_view(
        name,
        axis,
        column,
        row,
        sdd=sdd,
        sod=sod,
        pixel_spacing=spacing[::order],
        size=tags.size,
        centre_pixel=tags.isocentre_pixel,
        # Its mechanics hold both views together; the knee need not be at the isocentre. Pixels are
        # the patient's own there whatever the distances are, so that wrong ones hardly matter; to
        # fit where each view stands along its beam would move knees by a centimetre where they
        # are right.
        known=replace(_known(tags, own), detector="calibrated", knee="calibrated"),
        scan_direction=UP,
    )
    return view, notes + more


def _level(views: list[View]) -> tuple[list[View], list[str]]:
    """Both views of a slot scanner's pair with their upper edges at one height: tubes and detectors
    travel together."""
    tops = [
        max(float(view.points_on_detector(np.array(corner)) @ UP) for corner in _corners(view))
        for view in views
    ]
    lift = tops[0] - tops[1]
    if abs(lift) < 1e-6:
        return views, []
    matrix = np.eye(4)
    matrix[2, 3] = lift
    note = "The two images are not of one height; their upper edges are taken to be level."
    return [views[0], views[1].transformed(matrix)], [note]


def _corners(view: View) -> list[tuple[float, float]]:
    right, bottom = view.size[0] - 0.5, view.size[1] - 0.5
    return [(-0.5, -0.5), (right, -0.5), (-0.5, bottom), (right, bottom)]


def _known(tags: DicomTags, own: Overrides) -> Known:
    """Where what :func:`view_from_tags` makes of them came from."""
    beam = "assumed"
    if own.view_position and view_key(own.view_position) != "LATERAL":
        beam = "typed"
    elif _angles(tags, own) or {view_key(text) for text in tags.views} - {None, "LATERAL"}:
        beam = "stated"
    return Known(
        *origins_of_distances(tags, own),
        beam=beam,
        orientation="assumed" if tags.patient_orientation is None else "stated",
    )


def source_from_tags(
    tags: DicomTags, overrides: Overrides | None = None
) -> tuple[Source, tuple[str, ...]]:
    """What a file's pixels mean, without its path, and sentences on what was assumed."""
    own = overrides or Overrides()
    values, notes = (own.values, ()) if own.values else values_from_dicom(tags)
    return Source(values=values or "display", air=own.air), notes


def _direction(
    tags: DicomTags, name: str, laterality: str | None, own: Overrides, label: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Axis, column and row direction, from angles, view position, orientation or role."""
    notes: list[str] = []
    orientation = tags.patient_orientation
    stated = (own.view_position,) if own.view_position else tags.views
    view = next((key for key in map(view_key, stated) if key is not None), None)
    if own.view_position and view is None:
        raise GeometryError(
            "{label}: '{view_position}' is not a view position.",
            "Use AP, PA, LL, RL, mediolateral, lateromedial or lateral.",
            label=label,
            view_position=own.view_position,
        )
    angles = _angles(tags, own)
    if angles is not None:
        axis, column, row = seen_from_detector(*angles)
        layout = "seen from the detector"
        if view is not None:
            beam, _ = beam_of(view, laterality)
            named = Message(
                "the positioner angles {primary:g} and {secondary:g} degrees",
                primary=angles[0],
                secondary=angles[1],
            )
            if axes_angle(beam, axis) > 45:
                raise GeometryError(
                    "{label}: {named} contradict the view position {view}.",
                    "Make a rig with the view positions stated (rig --view AP LL, for example).",
                    label=label,
                    named=named,
                    view=view,
                )
            if beam @ axis < 0:
                notes.append(
                    Message(
                        "{label}: {named} are those of a beam in the opposite direction to the "
                        "view position {view}; the angles are used.",
                        label=label,
                        named=named,
                        view=view,
                    )
                )
    else:
        if view is None:
            view, note = view_from_orientation(orientation, name, tags.views)
            notes.append(about(label, note))
        axis, note = beam_of(view, laterality)
        notes += [about(label, note)] if note else []
        column, row = seen_from_tube(axis)
        layout = "seen from the tube"
        if view == "PA":  # shown facing the patient, as every frontal image
            column, layout = -column, "seen facing the patient"
    fitted = laid_out(column, row, orientation)
    if fitted is not None:
        return axis, *fitted, notes
    why = "is not given"
    if orientation and all(orientation_vector(o) is not None for o in orientation):
        why = f"{orientation[0]}\\{orientation[1]} contradicts the direction of the view"
        if not own.view_position:
            raise GeometryError(
                "{label}: the patient orientation {why}.",
                "Make a rig with the view positions stated (rig --view AP LL, for example).",
                label=label,
                why=why,
            )
    notes.append(
        Message(
            "{label}: the patient orientation {why}; the image is taken to be {layout}, head up.",
            label=label,
            why=why,
            layout=layout,
        )
    )
    return axis, column, row, notes


def _angles(tags: DicomTags, own: Overrides) -> tuple[float, float] | None:
    """Positioner angles where they mean a C-arm's (other devices reuse the tags)."""
    is_carm = tags.positioner_type == "CARM" or (
        tags.modality in ("XA", "RF") and tags.positioner_type in ("", "CARM")
    )
    if own.view_position or tags.primary_angle is None or not is_carm:
        return None
    return tags.primary_angle, tags.secondary_angle or 0.0


def _described(tags: Sequence[DicomTags]) -> list[DicomTags]:
    """The tags with the views that descriptions name, where these tell the two files apart: often
    one description stands in both."""
    planes = [{key in ("AP", "PA") for key in one.hints} for one in tags]
    if planes[0] == planes[1] or any(len(plane) != 1 for plane in planes):
        return list(tags)
    return [replace(one, views=(*one.views, one.hints[0])) for one in tags]
