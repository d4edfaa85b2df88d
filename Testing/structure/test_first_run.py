"""The protocol of the first run, and the page that a report becomes."""

from __future__ import annotations

import json
import re

from Testing import bench
from Testing.slicer import page
from Testing.slicer.steps import STEPS
from Testing.structure.repository import ROOT

REPORT = {
    "about": {"application": "3D Slicer", "Slicer": "5.12.4"},
    "steps": [
        {"name": "place", "title": "Place in 3D", "outcome": "passed", "detail": "at 1 | 2",
         "traceback": "", "seconds": 1.5, "picture": "place.png"},
        {"name": "ball", "title": "A click", "outcome": "failed", "detail": "a < b",
         "traceback": "Traceback: <ball>", "seconds": 0.1, "picture": ""},
    ],
}  # fmt: skip


def test_the_protocol_has_twenty_steps_with_boxes_and_covers_every_step_of_the_script():
    protocol = page.read_protocol()
    assert [instruction.number for instruction in protocol] == list(range(1, 21))
    assert all(instruction.seen for instruction in protocol)
    reported = [name for instruction in protocol for name in instruction.reported]
    assert sorted(reported) == sorted(step.name for step in STEPS)


def test_what_the_bench_leaves_unproven_is_seen_in_steps_of_the_protocol():
    """Each line of the bench's head names some, and together they are all twenty."""
    lines = re.split(r"(?m)^- ", bench.__doc__.partition("Absent, and not used")[0])[1:]
    assert len(lines) >= 10
    named = []
    for line in lines:
        steps = re.search(r"Steps?\s([\d,\s]+)\.\s*$", line)
        assert steps, line
        named += map(int, re.findall(r"\d+", steps.group(1)))
    assert set(named) == set(range(1, 21))


def test_the_protocol_s_pictures_are_there_and_small():
    text = page.PROTOCOL.read_text(encoding="utf-8")
    pictures = [ROOT / "Docs" / name for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)]
    assert len(pictures) >= 15
    assert not [path.name for path in pictures if not path.is_file()]
    assert sum(path.stat().st_size for path in pictures) < 4e6


def test_a_report_becomes_a_page_and_a_table(tmp_path, capsys):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(REPORT), encoding="utf-8")
    assert page.main([str(path)]) == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("<h2>") == 20
    assert "<img src='place.png'" in text
    assert "Traceback: &lt;ball&gt;" in text
    assert "<ball>" not in text
    capsys.readouterr()
    assert page.main([str(path), "--markdown"]) == 0
    table = capsys.readouterr().out
    assert "| place | passed | 1.5 | at 1 \\| 2 |" in table
    assert "| ball | failed | 0.1 | a < b |" in table


def test_what_is_no_report_is_said(tmp_path, capsys):
    assert page.main([str(tmp_path / "absent.json")]) == 2
    assert "is no report of run_in_slicer" in capsys.readouterr().err
