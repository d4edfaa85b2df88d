"""The list of lines that no test runs: its entries are of lines that are there."""

from __future__ import annotations

from Testing.structure.repository import ROOT, repository_files
from Testing.unrun import LIST, blocks, read_list


def test_lines_that_follow_each_other_are_one_block():
    assert blocks([1, 2, 4, 7, 9], [9, 2, 4]) == [(2, 4), (9, 9)]
    assert blocks([1, 2, 4], []) == []


def test_an_entry_fits_files_by_pattern_and_lines_by_their_beginning():
    (one, all_of_it) = read_list("# a remark\n[why]\n\na/*: raise\nb.py: *\n")
    assert one.reason == all_of_it.reason == "why"
    assert one.fits("a/b.py", "    raise X(") and all_of_it.fits("b.py", "anything")
    assert not one.fits("b.py", "raise X(") and not one.fits("a/b.py", "x = 1")


def test_every_entry_is_of_lines_that_are_there():
    files = [path for path in repository_files() if path.suffix == ".py"]
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").splitlines()
        for path in files
    }
    for entry in read_list(LIST.read_text(encoding="utf-8")):
        assert any(entry.fits(file, line) for file, lines in texts.items() for line in lines), entry
