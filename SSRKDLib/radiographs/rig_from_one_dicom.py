"""A rig from the tags of one DICOM radiograph."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from SSRKDLib.core.messages import Message, about
from SSRKDLib.geometry.views import Rig
from SSRKDLib.radiographs.dicom_distances import Overrides
from SSRKDLib.radiographs.dicom_pairs import stated_laterality
from SSRKDLib.radiographs.dicom_tags import DicomTags
from SSRKDLib.radiographs.exposure import RadiographRig, with_sources
from SSRKDLib.radiographs.rig_from_dicom import (
    source_from_tags,
    tags_of_file,
    view_from_tags,
)


def rig_from_one_dicom(
    path: str | os.PathLike,
    name: str,
    *,
    laterality: str | None = None,
    own: Overrides | None = None,
    tags: DicomTags | None = None,
) -> RadiographRig:
    """As :func:`~SSRKDLib.radiographs.rig_from_dicom.rig_from_dicom`, of one file.

    Args:
        path: of the file.
        name: "frontal" or "lateral"; where its tags say otherwise they are believed, and it is
            reported.
        laterality, own, tags: as there.

    Raises:
        ImageError, GeometryError: as there.
    """
    tags = tags_of_file(str(path)) if tags is None else tags
    if not tags.views and tags.hints:
        tags = replace(tags, views=tags.hints[:1])
    label = Path(path).name
    side, assumptions = stated_laterality([tags], laterality)
    view, notes = view_from_tags(tags, name, side, own, label)
    source, more = source_from_tags(tags, own)
    assumptions += [*notes, *(about(label, note) for note in (*more, *tags.problems))]
    other = {"frontal": "lateral", "lateral": "frontal"}[name]
    if abs(view.axis[("lateral", "frontal").index(other)]) > 0.7:
        assumptions.append(
            Message("{file} is a {view} radiograph, as its tags show.", file=label, view=other)
        )
        view = replace(view, name=other)
    rig = Rig(views=(view,), laterality=side, assumptions=tuple(assumptions))
    return with_sources(rig, [replace(source, image=str(path))])
