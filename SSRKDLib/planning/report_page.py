"""An osteotomy plan as one self-contained HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from SSRKDLib import __version__
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.evaluation.html_report import figure, page
from SSRKDLib.planning.fragments import Fragments
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.planning.osteotomy import Plan
from SSRKDLib.planning.same_plan import TARGETS
from SSRKDLib.surfaces.mesh import Mesh

_KINDS = {"opening": "medial opening wedge", "closing": "lateral closing wedge"}

_DIFFERENCES = {
    "plane_mm": "Cut plane, distance (mm)",
    "plane_deg": "Cut plane, angle (degrees)",
    "hinge_mm": "Hinge, distance (mm)",
    "hinge_deg": "Hinge, angle (degrees)",
    "angle_deg": "Correction (degrees)",
    "height_mm": "Wedge height (mm)",
    "height_posterior_mm": "Wedge height back (mm)",
    "depth_mm": "Depth of the cut (mm)",
    "mpta_deg": "MPTA before (degrees)",
    "slope_deg": "Medial slope before (degrees)",
    "slope_change_deg": "Change of the medial slope (degrees)",
    "residual_mm": "Surfaces of the tibias, aligned (mm)",
}

_COLOURS = {"proximal": "#9db8ad", "distal": "#c8d6d0", "wedge": "#d55e00"}


def summary_rows(plan: Plan) -> list[tuple[str, str]]:
    """The plan's numbers as (name, value with its unit), for tables."""
    before, after = plan.before, plan.after
    wedge, back, front = (
        ("Opening, medial", "Opening, posteromedial", "Opening, anteromedial")
        if plan.cut.kind == "opening"
        else (
            "Base of the wedge, lateral",
            "Base of the wedge, posterolateral",
            "Base of the wedge, anterolateral",
        )
    )

    def change(name: str) -> str:
        one, other = getattr(before, name), getattr(after, name)
        return f"{one:.1f}° to {other:.1f}° ({other - one:+.1f}°)"

    return [
        ("Correction", f"{plan.angle:.1f}°"),
        (wedge, f"{plan.height:.1f} mm"),
        (back, f"{plan.height_posterior:.1f} mm"),
        (front, f"{plan.height_anterior:.1f} mm"),
        ("Depth of the cut", f"{plan.depth:.1f} mm"),
        ("Bone left at the hinge", f"{plan.hinge_width:.1f} mm"),
        ("Medial proximal tibial angle", change("mpta")),
        ("Tibial slope, medial", change("slope_medial")),
        ("Tibial slope, lateral", change("slope_lateral")),
        ("Joint line's fall to lateral", change("joint_line")),
    ]


def difference_rows(differences: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Differences of two plans as (name, value, "yes" or "no" where there is a target)."""
    rows = []
    for name, title in _DIFFERENCES.items():
        limit = TARGETS.get(name)
        met = "" if limit is None else f"{'yes' if abs(differences[name]) <= limit else 'no'}"
        rows.append((title, f"{differences[name]:.2f}", met and f"{met} (at most {limit:g})"))
    return rows


def render_plan(
    plan: Plan,
    landmarks: Landmarks,
    parts: Fragments,
    notes: Sequence[str] = (),
    differences: Mapping[str, float] | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> str:
    """The page.

    Args:
        plan, landmarks, parts: of one tibia.
        notes: sentences.
        differences: to the plan on a reference, or None.
        pictures: PNG bytes by caption.
    """
    side = SIDES[landmarks.laterality]
    body = [
        f"<h1>High tibial osteotomy, {_KINDS[plan.cut.kind]}: {side} knee</h1>",
        '<p class="warning">For research, not for diagnosis. A rigid plan on surfaces: soft tissue '
        "and how the hinge bends are not part of it.</p>",
        _table(summary_rows(plan)),
        *(f'<p class="warning">⚠ {html.escape(text)}</p>' for text in plan.warnings),
        *(f'<p class="note">{html.escape(text)}</p>' for text in notes),
        _drawing(plan, landmarks, parts),
        *(figure(caption, png) for caption, png in (pictures or {}).items()),
    ]
    if differences is not None:
        heads = "<tr><th>Reconstruction less reference</th><th></th><th>Target met</th></tr>"
        body += ["<h2>Is the plan that of the reference?</h2>",
                 _table(difference_rows(differences), heads)]  # fmt: skip
    body.append(f'<p class="note">SSRKD {__version__}</p>')
    return page("SSRKD osteotomy plan", body)


def _table(rows: Sequence[Sequence[str]], heads: str = "") -> str:
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table>{heads}{lines}</table>"


def _drawing(plan: Plan, landmarks: Landmarks, parts: Fragments) -> str:
    """Outlines of the parts, seen along the hinge and from the medial side, as an SVG element."""
    x, y, z = landmarks.axes
    up = z - (z @ plan.cut.axis) * plan.cut.axis
    up /= np.linalg.norm(up)
    aside = np.cross(plan.cut.axis, up)
    # From the front, the lateral side of a left knee is on the right; from its medial side, the
    # front is. Of a right knee both are on the left.
    right = 1.0 if landmarks.laterality == "L" else -1.0
    views = {
        "along the hinge": (right * aside * np.sign(aside @ x), up),
        "from the medial side": (-right * y, z),
    }
    size, gap, reach = 260, 30, 130.0
    scale, drawn = size / reach, []
    for number, (caption, (across, up)) in enumerate(views.items()):
        points = np.concatenate([getattr(parts, name).vertices for name in _COLOURS])
        flat = points @ np.array([across, up]).T
        top = flat[:, 1].max()
        middle = (flat[:, 0].min() + flat[:, 0].max()) / 2.0
        left = number * (size + gap) + size / 2.0
        for name, colour in _COLOURS.items():
            ring = _profile(getattr(parts, name), across, up)
            path = " ".join(
                f"{left + (place - middle) * scale:.1f},{10 + (top - height) * scale:.1f}"
                for place, height in ring
                if top - height < reach
            )
            drawn.append(f'<polygon points="{path}" fill="{colour}" stroke="#333"/>')
        drawn.append(f'<text x="{left:.0f}" y="{size + 32}" text-anchor="middle">{caption}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * size + gap}" height="{size + 40}" '
        f'font-family="sans-serif" font-size="12">{"".join(drawn)}</svg>'
    )


def _profile(mesh: Mesh, across: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Outline ``[N, 2]`` (place across, height) of a surface: from end to end of each level."""
    flat = mesh.vertices @ np.array([across, up]).T
    start, end = np.moveaxis(flat[mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)], 1, 0)
    sides = []
    for level in np.linspace(flat[:, 1].min() + 1e-3, flat[:, 1].max() - 1e-3, 80):
        crossing = (start[:, 1] < level) != (end[:, 1] < level)
        if not crossing.any():
            continue
        low, high = start[crossing], end[crossing]
        share = (level - low[:, 1]) / (high[:, 1] - low[:, 1])
        place = low[:, 0] + share * (high[:, 0] - low[:, 0])
        sides.append((place.min(), place.max(), level))
    table = np.array(sides)
    return np.concatenate([table[:, [0, 2]], table[::-1][:, [1, 2]]])
