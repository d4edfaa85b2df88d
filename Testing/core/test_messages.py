"""Sentences that carry what they were made of."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np

from SSRKDLib.core.errors import InputError, MeshError
from SSRKDLib.core.messages import Message, about, from_plain, joined, one_line, to_plain


def test_a_message_is_its_english_sentence_and_keeps_template_and_values(tmp_path):
    template = "The {bone} is {width:.1f} mm wide in {path}."
    said = Message(template, bone="femur", width=np.float32(80), path=tmp_path)
    assert said == f"The femur is 80.0 mm wide in {tmp_path}."
    assert json.dumps([said]) == json.dumps([str(said)])
    assert said.template == template
    assert said.values == {"bone": "femur", "width": 80.0, "path": str(tmp_path)}
    for again in (pickle.loads(pickle.dumps(said)), copy.deepcopy(said)):
        assert again == said and again.values == said.values


def test_a_message_of_messages_goes_through_json_and_back():
    inner = Message("{count} such gaps", count=3)
    outer = joined([about("CT", inner), "Crop it."], " ")
    assert outer == "CT: 3 such gaps Crop it."
    again = from_plain(json.loads(json.dumps(to_plain(outer))))
    assert again == outer
    assert again.values["part1"].values["sentence"].template == "{count} such gaps"


def test_errors_carry_their_templates_and_print_as_ever():
    error = MeshError("The {bone} has {count} faces.", "Close it.", bone="tibia", count=2)
    assert str(error) == "The tibia has 2 faces. Close it."
    assert error.cause.template == "The {bone} has {count} faces."
    assert error.remedy.template == "Close it."
    passed_on = InputError(error.cause, error.remedy)
    assert passed_on.cause.values == {"bone": "tibia", "count": 2}


def test_names_of_strangers_are_no_templates_and_forge_no_line():
    error = InputError("'{path}' is empty.", "Copy it.", path="{0.__class__}\nerror: forged")
    assert error.cause == "'{0.__class__} error: forged' is empty."
    assert InputError("A set {1, 2} is no side.").cause == "A set {1, 2} is no side."
    assert one_line(error.cause) is error.cause
