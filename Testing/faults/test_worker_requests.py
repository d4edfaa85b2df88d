"""No line of a client ends or deafens the worker, and no request is met with an internal error."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.forms import Within, misfit
from SSRKDLib.worker.arrays import read_arrays
from SSRKDLib.worker.protocol import encode
from SSRKDLib.worker.requests import REQUESTS
from SSRKDLib.worker.tasks import all_tasks
from Testing.worker.test_server import serve

LINES = {
    b'{"cancel":{}}': [None],
    b'{"cancel":[1]}': [None],
    b'{"cancel":null}': [None],
    b"[" * 100_000: [None],
    b'{"id":7,"do":[1]}': [7],
    b'{"id":7,"do":' + b"[" * 900 + b"]" * 900 + b"}": [7],
    b'{"id":7,"do":"\\ud800"}': [7],
    b'{"id":"\\ud800","do":"x"}': ["\ud800"],
    b'{"id":{},"do":"x"}': [None],
    b'{"id":' + b"9" * 5000 + b"}": [None],
    b'{"id":1,"do":"a"}\n{"id":1,"do":"b"}': [1, None],
    b"\xff\xfe\x00": [None],
    b"\x00\n" * 60: [None] * 60,
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line[:24]))
def test_an_ill_line_gets_an_error_and_the_next_is_heard(line):
    after = encode({"ping": 1}) + encode({"id": "ping", "do": "nothing"})
    messages = serve({}, line + b"\n" + after, '"id":"ping","event":"error"')
    errors = [message for message in messages if message["event"] == "error"]
    assert sorted(map(str, (e["id"] for e in errors))) == sorted(map(str, [*LINES[line], "ping"]))
    assert sum(message["event"] == "pong" for message in messages) == 1
    assert not any("Internal error" in error["cause"] for error in errors)


GOOD = {
    "rig": "r.json", "ct": "ct.nrrd", "output": "out", "files": ["w.zip"], "recon": "a",
    "reference": "b", "align": "none", "laterality": "L", "spacing": 1.0, "device": "cpu",
    "weights": None, "surface": None, "pose": "lateral", "energy": 60, "noise_free": True,
    "errors": {"femur": 1.5}, "seed": 1, "projector": "joseph", "fields": [None, "f.npy"],
    "masks": None,
}  # fmt: skip
BAD = (
    {}, [], [[]], math.nan, math.inf, 1e400, -1, 0, 10**400, "tpu", "a\0b", "\ud800", "x" * 20_000,
    True,
)  # fmt: skip


def test_a_request_that_is_none_is_refused_naming_the_entry():
    tasks = all_tasks()
    assert set(tasks) == set(REQUESTS)
    refusals = 0
    for name, form in REQUESTS.items():
        good = {entry.rstrip("?"): GOOD[entry.rstrip("?")] for entry in form}
        assert misfit(good, form) is None
        for entry in form:
            key = entry.rstrip("?")
            without = {k: v for k, v in good.items() if k != key}
            assert misfit(without, form) == (None if "?" in entry else f"'{key}' is missing")
            for value in BAD:
                request = {**good, key: value}
                if misfit(request, form) is None:
                    continue
                with pytest.raises(InputError, match=f"'{name}' cannot be used: .*'{key}' must be"):
                    tasks[name](request, lambda *_: None)
                refusals += 1
            assert key == "errors" or misfit({**good, key: {}}, form)
            assert misfit({**good, key: "a\0b"}, form)
            assert misfit({**good, key: ""}, form)  # not the working folder
    assert refusals > 250


@pytest.mark.parametrize("value", [-1, "x", None, True, [1], {"a": 1}, 10**400])
@pytest.mark.parametrize("task", ["measure", "compare"])
def test_errors_of_a_request_are_lengths_by_bone(task, value):
    request = {key: GOOD[key] for key in ("recon", "reference", "output", "align", "laterality")}
    with pytest.raises(InputError, match="'femur' must be a number from 0 to 1000"):
        all_tasks()[task]({**request, "errors": {"femur": value}}, lambda *_: None)


@pytest.mark.parametrize("what", ["text", "objects", "records", "zip", "npz", "nothing"])
def test_a_file_of_no_array_of_numbers_is_refused(tmp_path, what):
    path = tmp_path / "mask.npy"
    with path.open("wb") as stream:
        if what == "npz":
            np.savez(stream, np.zeros(3))
        elif what in ("zip", "nothing"):
            stream.write(b"PK\3\4" + bytes(100) if what == "zip" else bytes(100))
        else:
            kinds = {"text": "U1", "objects": object, "records": [("a", "u1")]}
            np.save(stream, np.zeros(3, kinds[what]))
    with pytest.raises(InputError, match=r"mask\.npy' cannot be read"):
        read_arrays([str(path)], 1)


def test_arrays_come_as_they_were_sent(tmp_path):
    np.save(tmp_path / "mask.npy", np.array([[True, False]]))
    first, second = read_arrays([None, str(tmp_path / "mask.npy")], 2)
    assert first is None and second.dtype == bool and second.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("value", "form", "wrong"),
    [
        (1, float, None),
        (True, float, "it must be a finite number (got True)"),
        (2.5, Within(0, 2), "it must be a number from 0 to 2 (got 2.5)"),
        ([1, "x"], [int], "each of it must be a whole number (got 'x')"),
        (None, (str, None), None),
        ({"b": 1}, {"a?": int, "b": int}, None),
        ({"a": None, "b": 1}, {"a?": int, "b": int}, "'a' must be a whole number (got None)"),
        ({}, {"a": (int, None)}, "'a' is missing"),
        ({"a": "x"}, ({"a?": int}, None), "'a' must be a whole number (got 'x')"),
        ("", (Path, None), "it must be a path or null (got '')"),
        ([], ([int], {"x"}), None),
        ({}, ([int], {"x"}), "it must be a list of which each is a whole number or 'x' (got a list"
         " or object)"),
    ],
)  # fmt: skip
def test_forms_say_what_is_wrong(value, form, wrong):
    assert misfit(value, form) == wrong
