"""A comparison as one self-contained HTML file: tables, curves, pictures; no script, no link out.

Nothing in it names the patient unless the caller passes names.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from SSRKDLib import __version__
from SSRKDLib.core.anatomy import COLOURS
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.geometry.views import Rig, axes_angle

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 0.7em 0 1.4em; }
th, td { border-bottom: 1px solid #bbb; padding: 0.25em 0.8em; text-align: right; }
th:first-child, td:first-child, td.text { text-align: left; }
img { max-width: 100%; border: 1px solid #bbb; }
figure { margin: 1em 0; } figcaption { color: #444; }
.note { color: #444; } .warning { border-left: 4px solid #c60; padding-left: 0.8em; }
"""

_DISTANCES = (
    ("assd_mm", "ASSD (mm)", 2),
    ("assd_paper_mm", "ASSD, paper's protocol (mm)", 2),
    ("hd95_mm", "HD95 (mm)", 2),
    ("hd_mm", "HD (mm)", 2),
    ("dsc", "Dice", 3),
    ("residual_mm", "Residual of alignment (mm)", 2),
)

_ALIGNMENTS = {
    "none": "none: reconstruction and reference share a frame",
    "all": "rigid, all bones together",
    "bone": "rigid, each bone by itself",
    "keep": "as edited by the user",
}


@dataclass(frozen=True)
class Report:
    """What a report tells.

    Attributes:
        side: "L" or "R".
        date: of the report.
        rows, clinical: of :func:`SSRKDLib.evaluation.comparison.compare_knees`; None for what is
            missing. Without a reference there are no rows, and clinical are those of
            :func:`SSRKDLib.clinical.table.measure_rows`.
        curves: by bone, (share in percent, distance in mm) pairs of values.
        mode: of the alignment.
        notes: sentences.
        reconstruction: the reconstruction's report.json, or {}.
        rig: of the radiographs, or None.
        pictures: PNG bytes by caption.
        definitions: of the clinical measures, by name: (definition, source).
        versions: by program.
        names: what the user's data are called, by what they are; empty to leave them out.
    """

    side: str
    date: str
    rows: Sequence[Mapping]
    clinical: Sequence[Mapping]
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    mode: str
    notes: Sequence[str] = ()
    reconstruction: Mapping = field(default_factory=dict)
    rig: Rig | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    definitions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def render(report: Report) -> str:
    """The report as HTML."""
    side = SIDES[report.side]
    title = "Reconstruction compared with a reference" if report.rows else "Reconstruction"
    parts = [
        f"<h1>{title}: {side} knee</h1>",
        '<p class="warning">For research, not for diagnosis.</p>',
        _facts(report),
    ]
    if report.rows:
        mode = _text(_ALIGNMENTS.get(report.mode, report.mode))
        parts += [
            "<h2>Distances</h2>",
            _distance_table(report.rows),
            f"<p>Alignment of the reference: {mode}. ASSD: average symmetric surface distance, "
            "from points to surfaces; the paper's protocol measures between 49,152 points on each "
            "surface and reads some 0.3 mm for equal surfaces. HD: Hausdorff distance, HD95 its "
            "95th percentile.</p>",
            curves_svg(report.curves),
        ]
    parts += [f'<p class="note">{_text(note)}</p>' for note in report.notes]
    parts += [figure(caption, png) for caption, png in report.pictures.items()]
    if report.clinical:
        parts += ["<h2>Clinical measures</h2>", _clinical_table(report)]
    if report.rig is not None:
        parts += ["<h2>Radiographs</h2>", _rig_table(report.rig)]
    return page("SSRKD comparison" if report.rows else "SSRKD", parts)


def page(title: str, parts: Sequence[str]) -> str:
    """An HTML file in the look of the reports; ``parts`` of its body are HTML already."""
    body = "\n".join(parts)
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def figure(caption: str, png: bytes) -> str:
    """A picture with its caption, as HTML."""
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{_text(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _number(value: object, decimals: int, sign: bool = False) -> str:
    if value is None or value != value:
        return "–"
    rounded = round(float(value), decimals) + 0.0  # no minus before zero
    return f"{rounded:{'+' if sign else ''}.{decimals}f}"


def _facts(report: Report) -> str:
    about = report.reconstruction
    facts = {"Date": report.date, **report.names}
    if about:
        sha = about.get("weights_sha256") or ""
        facts["Weights"] = f"{about.get('weights')} (SHA-256 {sha[:16]}...)"
        if about.get("surface") == "fitted":
            facts["Surface"] = "a population's shape model, fitted to the radiographs"
        else:
            facts["Surface"] = f"the network's own, resolution {about.get('spacing_mm')} mm"
        if about.get("pose"):
            facts["Pose"] = f"as in the {about['pose']} radiograph"
        facts["Device"] = about.get("device")
    facts.update({"SSRKD": __version__, **report.versions})
    rows = "".join(
        f'<tr><td>{_text(name)}</td><td class="text">{_text(value)}</td></tr>'
        for name, value in facts.items()
    )
    warnings = "".join(f"<p>⚠ {_text(w)}</p>" for w in about.get("warnings", ()))
    return f"<table>{rows}</table>{warnings}"


def _distance_table(rows: Sequence[Mapping]) -> str:
    head = "".join(f"<th>{title}</th>" for _, title, _ in _DISTANCES)
    lines = []
    for row in rows:
        cells = "".join(f"<td>{_number(row.get(key), n)}</td>" for key, _, n in _DISTANCES)
        note = _text(row.get("note") or "")
        lines.append(f"<tr><td>{_text(row['bone'])}</td>{cells}<td class='text'>{note}</td></tr>")
    return f"<table><tr><th>Bone</th>{head}<th></th></tr>{''.join(lines)}</table>"


def _clinical_table(report: Report) -> str:
    lines, definitions = [], []
    compared = ("reference", "error") if report.rows else ()
    for row in report.clinical:
        decimals = 2 if not row["unit"] else 1
        expected = row.get("expected_error")
        about = "" if expected is None else f" ± {_number(expected, decimals)}"
        value = row["reconstruction" if compared else "value"]
        cells = f"<td>{_number(value, decimals)}{about}</td>" + "".join(
            f"<td>{_number(row[key], decimals, key == 'error')}</td>" for key in compared
        )
        lines.append(
            f"<tr><td>{_text(row['title'])}</td>{cells}<td class='text'>{_text(row['unit'])}</td>"
            f"<td class='text'>{_text(row['note'])}</td></tr>"
        )
        if row["measure"] in report.definitions:
            definition, source = report.definitions[row["measure"]]
            definitions.append(
                f"<dt>{_text(row['title'])}</dt><dd>{_text(definition)} {_text(source)}</dd>"
            )
    head = "".join(f"<th>{name.capitalize()}</th>" for name in compared)
    return (
        f"<table><tr><th>Measure</th><th>Reconstruction</th>{head}"
        f"<th></th><th></th></tr>{''.join(lines)}</table><p class='note'>± is the error that is "
        "to be expected on average.</p><dl class='note'>"
        f"{''.join(definitions)}</dl>"
    )


def _rig_table(rig: Rig) -> str:
    lines = []
    for view in rig.views:
        sod = rig.source_to_object_distance(view)
        lines.append(
            f"<tr><td>{_text(view.name)}</td><td>{view.source_to_detector_distance:.0f}</td>"
            f"<td>{sod:.0f}</td><td>{view.pixel_spacing[0]:.4g}</td>"
            f"<td>{view.size[0]} x {view.size[1]}</td></tr>"
        )
    angle = axes_angle(rig.views[0].axis, rig.views[1].axis)
    assumed = "".join(f"<p class='note'>Assumed: {_text(a)}</p>" for a in rig.assumptions)
    return (
        "<table><tr><th>View</th><th>SDD (mm)</th><th>SOD (mm)</th><th>Pixel (mm)</th>"
        f"<th>Size</th></tr>{''.join(lines)}</table>"
        f"<p>Angle between the views: {angle:.1f} degrees.</p>{assumed}"
    )


def curves_svg(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> str:
    """Cumulative curves of distance as an SVG element.

    Args:
        curves: by bone, (shares in percent, distances in mm that they stay below).
    """
    if not curves:
        return ""
    width, height = 640, 300
    left, right, top, bottom = 52, 110, 14, 40
    # The last percent is the Hausdorff distance, which would squeeze the rest.
    reach = max(
        max(d for s, d in zip(shares, distances) if s <= 99)
        for shares, distances in curves.values()
    )
    reach = max(1.0, float(reach))
    across, up = (width - left - right) / reach, (height - top - bottom) / 100

    def place(share: float, distance: float) -> str:
        return f"{left + min(distance, reach) * across:.1f},{height - bottom - share * up:.1f}"

    step = next(s for s in (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 1e9) if reach / s <= 8)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             'font-family="sans-serif" font-size="12">']  # fmt: skip
    tick = 0.0
    while tick <= reach:
        x = left + tick * across
        parts.append(
            f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{height - bottom}" stroke="#ddd"/>'
            f'<text x="{x:.1f}" y="{height - bottom + 16}" text-anchor="middle">{tick:g}</text>'
        )
        tick += step
    for share in (0, 25, 50, 75, 100):
        y = height - bottom - share * up
        parts.append(
            f'<line x1="{left}" y1="{y:.1f}" x2="{width - right}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{share}</text>'
        )
    for index, (bone, (shares, distances)) in enumerate(curves.items()):
        colour = "#" + "".join(f"{round(255 * c):02x}" for c in COLOURS[bone])
        points = " ".join(place(s, d) for s, d in zip(shares, distances))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{width - right + 10}" y="{top + 16 + 18 * index}" fill="{colour}" '
            f'font-weight="bold">{_text(bone)}</text>'
        )
    parts.append(
        f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">distance '
        f'(mm)</text><text x="14" y="{(top + height - bottom) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(top + height - bottom) / 2})">share of both surfaces (%)'
        "</text></svg>"
    )
    return "".join(parts)
