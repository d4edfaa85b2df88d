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


HOSTILE = {
    "overflow": '["{b:c}",{"b":99999999999}]',
    "memory": '["{b:>99999999999}",{"b":"x"}]',
    "precision": '["{b:.99999999f}",{"b":1.5}]',
    "attribute": '["{b.__class__}",{"b":"x"}]',
    "item": '["{b[0]}",{"b":"x"}]',
    "inner": '["{b:{c}}",{"b":"x","c":"<9"}]',
    "deep": '["{b}",{"b":' * 400 + '"x"' + "}]" * 400,
    "doubled": '["{b}{b}",{"b":' * 60 + '"x"' + "}]" * 60,
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_a_template_that_asks_for_more_than_values_is_not_followed(said, monkeypatch):
    monkeypatch.setattr(protocol, "from_plain", lambda plain: pytest.fail("was followed"))
    line = f'{{"id":1,"w":"x","said":{{"x":{said}}}}}\n{{"ping":1}}\n'.encode()
    if said == HOSTILE["deep"]:
        monkeypatch.undo()  # its depth alone is in the way, on some versions of Python
    assert LineReader().feed(line) == [{"id": 1, "w": "x"}, {"ping": 1}]


def test_a_message_too_deep_for_its_sentences_is_a_message_without():
    deep = b"[" * 600 + b"]" * 600
    line = b'{"id":1,"a":' + deep + b',"said":{"a":["a",{}]}}\n{"ping":1}\n'
    assert [set(message) for message in LineReader().feed(line)] == [{"id", "a"}, {"ping"}]


@pytest.mark.parametrize("spec", ["", "!r", ":g", ":.3g", ":.0f", ":+.1f", ":.0e"])
def test_values_are_rounded_as_templates_say(spec):
    said = Message(f"{{{{It}}}} is {{value{spec}}} mm.", value=1234.5678)
    (back,) = LineReader().feed(encode({"w": said}))
    assert back["w"] == said and back["w"].values == {"value": 1234.5678}


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
