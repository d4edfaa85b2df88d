"""The folder that a plan is written to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from SSRKDLib import __version__
from SSRKDLib.core.anatomy import COLOURS
from SSRKDLib.core.output_file import write_file
from SSRKDLib.core.output_manifest import ResultKind
from SSRKDLib.planning.fragments import Fragments
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.planning.markups import hinge_markup, plane_markup
from SSRKDLib.planning.osteotomy import Plan
from SSRKDLib.planning.report_page import render_plan
from SSRKDLib.surfaces.mesh_files import write_mesh

#: What ``plan`` writes.
PLAN = ResultKind("plan")

#: Display colours of the parts (sRGB, 0..1).
PART_COLOURS = {
    "proximal": COLOURS["tibia"],
    "distal": (0.55, 0.80, 0.70),
    "wedge": (0.84, 0.37, 0.00),
}


def write_plan(
    folder: Path,
    plan: Plan,
    landmarks: Landmarks,
    parts: Fragments,
    notes: Sequence[str] = (),
    differences: Mapping[str, float] | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Write ``tibia_proximal.ply``, ``tibia_distal.ply``, ``wedge.ply``, ``cut_plane.mrk.json``,
    ``hinge.mrk.json``, ``plan.json`` and ``plan.html``; arguments as of
    :func:`~SSRKDLib.planning.report_page.render_plan`.

    Raises:
        OutputError: a file cannot be written.
    """
    for name, colour in PART_COLOURS.items():
        stem = "wedge" if name == "wedge" else f"tibia_{name}"
        write_mesh(folder / f"{stem}.ply", getattr(parts, name), colour)
    write_file(folder / "cut_plane.mrk.json", plane_markup(plan.cut, landmarks))
    write_file(folder / "hinge.mrk.json", hinge_markup(plan.cut))
    about = {
        "program": f"SSRKD {__version__}",
        "laterality": landmarks.laterality,
        **plan.as_dict(),
        "notes": list(notes),
        "reference": None if differences is None else dict(differences),
    }
    write_file(folder / "plan.json", json.dumps(about, indent=2, allow_nan=False) + "\n")
    text = render_plan(plan, landmarks, parts, notes, differences, pictures)
    write_file(folder / "plan.html", text)
