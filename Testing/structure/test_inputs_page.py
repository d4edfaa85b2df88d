"""Docs/inputs.md: each row names a test, and the test exists."""

from __future__ import annotations

import re

from Testing.structure.repository import ROOT


def test_every_row_of_the_inputs_page_names_its_test():
    rows = [
        line.rstrip(" |").split(" | ")[-1].strip("| ")
        for line in (ROOT / "Docs" / "inputs.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| what")
    ]
    assert len(rows) > 40
    for row in rows:
        found = re.fullmatch(r"(\w+/test_\w+\.py)::(test_\w+)", row)
        assert found, row
        text = (ROOT / "Testing" / found[1]).read_text(encoding="utf-8")
        assert f"def {found[2]}(" in text, row
