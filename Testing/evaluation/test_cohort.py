"""The output folder of an evaluation: what is in it is taken up, refused, or made again."""

from __future__ import annotations

import os
import sys

import pytest

from SSRKDLib.core import input_files
from SSRKDLib.core.errors import InputError, OutputError
from SSRKDLib.evaluation import cohort
from SSRKDLib.evaluation.case_results import signature
from SSRKDLib.evaluation.cohort import (
    FINISHED,
    SETTINGS,
    Settings,
    evaluate_cases,
    find_cases,
    prepare_output,
)
from Testing.support.one_process import in_this_process  # noqa: F401  (a fixture for every test)

NOT_OURS = ["", "[1]", "3", "[" * 100_000, "\xff"]


@pytest.mark.parametrize("text", NOT_OURS)
def test_settings_that_are_none_are_refused(tmp_path, text):
    (tmp_path / SETTINGS).write_bytes(text.encode("latin-1"))
    with pytest.raises(OutputError):
        prepare_output(tmp_path, Settings())
    assert (tmp_path / SETTINGS).read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("text", NOT_OURS)
def test_a_damaged_result_is_made_again(tmp_path, text):
    settings, output = Settings(reconstruct=False), tmp_path / "out"
    (tmp_path / "cases" / "one" / "reconstruction").mkdir(parents=True)
    prepare_output(output, settings)
    result = output / FINISHED / "one.json"
    result.write_bytes(text.encode("latin-1"))
    (found,) = evaluate_cases(find_cases(tmp_path / "cases"), output, settings)
    assert "no truth" in found["error"] and result.read_bytes().startswith(b"{")


@pytest.mark.skipif(sys.platform != "linux", reason="others have no such names")
def test_a_case_whose_name_no_table_holds_is_refused_before_the_work(tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfecase")
    os.makedirs(os.path.join(odd, "reconstruction"))
    with pytest.raises(InputError, match=r"case' is not UTF-8"):
        find_cases(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such names")
def test_a_case_whose_name_would_command_a_terminal_is_refused(tmp_path):
    (tmp_path / "red\x1b[31m" / "reconstruction").mkdir(parents=True)
    with pytest.raises(InputError, match="has control characters") as caught:
        find_cases(tmp_path)
    assert str(caught.value).isprintable()


def test_a_case_that_ends_its_process_is_told_and_not_tried_again(tmp_path, monkeypatch):
    settings, output = Settings(reconstruct=False), tmp_path / "out"
    (tmp_path / "cases" / "one" / "reconstruction").mkdir(parents=True)
    prepare_output(output, settings)
    cases, tried = find_cases(tmp_path / "cases"), []

    def all_end(function, items, processes, ended):
        tried.extend(items)
        return map(ended, items)

    monkeypatch.setattr(cohort, "run_in_processes", all_end)
    first = evaluate_cases(cases, output, settings)
    assert "ended the process" in first[0]["error"]
    assert evaluate_cases(cases, output, settings) == first and tried == cases
    (output / FINISHED / "one.json").unlink()
    evaluate_cases(cases, output, settings)
    assert tried == 2 * cases


def test_a_case_of_files_without_end_has_no_signature(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / str(number)).touch()
    assert len(signature(tmp_path)) == 3
    monkeypatch.setattr(input_files, "MOST_FILES", 2)
    assert signature(tmp_path) == []
