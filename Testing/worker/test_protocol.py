"""The lines between a client and its worker."""

from __future__ import annotations

import json

import pytest

from SSRKDLib.core.messages import Message
from SSRKDLib.worker import protocol
from SSRKDLib.worker.protocol import LineReader, encode


def test_sentences_keep_their_templates_and_values_on_the_way():
    said = Message("The {bone} was not found.", bone="tibia")
    sent = {"id": 1, "event": "result", "result": {"warnings": [said, "Plain."], "seconds": 1.5}}
    line = encode(sent)
    assert json.loads(line)["result"] == sent["result"]  # who does not know of them reads text
    (back,) = LineReader().feed(line)
    assert back == sent
    assert back["result"]["warnings"][0].values == {"bone": "tibia"}


@pytest.mark.parametrize(
    "said", [1, [], {"Text.": 3}, {"Text.": ["{a}", {}]}, {"Text.": ["{a.b}", 4]}]
)
def test_sentences_of_another_version_stay_as_they_are(said):
    (back,) = LineReader().feed(encode({"id": 1, "warnings": ["Text."], "said": said}))
    assert back == {"id": 1, "warnings": ["Text."]}


def test_lines_come_in_any_parts():
    reader, stream = LineReader(), b'{"a":1}\n\n {"b":\n2}\n[\n{"c":"' + b"x" * 40 + b'"}\n{"d"'
    for size in (1, 7, 100):
        parts = [stream[n : n + size] for n in range(0, len(stream), size)]
        messages = [message for part in (*parts, b":3}\n") for message in reader.feed(part)]
        assert messages == [{"a": 1}, {"c": "x" * 40}, {"d": 3}]
        assert reader.noise == [' {"b":', "2}", "["]
        reader.noise.clear()


def test_a_line_without_end_is_not_kept(monkeypatch):
    monkeypatch.setattr(protocol, "LONGEST_LINE", 1000)
    reader = LineReader()
    for _ in range(5):
        assert reader.feed(b"x" * 600) == []
    assert reader.noise == ["x" * 200] * 2
    assert reader.feed(b'\n{"a": 1}\n') == [{"a": 1}]
