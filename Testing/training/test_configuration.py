"""Configurations of strangers: one sentence each, before anything is made of them."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("lightning")

from SSRKDLib.core.errors import InputError  # noqa: E402
from SSRKDLib.training import command  # noqa: E402
from SSRKDLib.training.configuration import check_files, check_values  # noqa: E402

MULTIPLYING = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"[" * 50_000, "nested more than 40 deep"),
        (MULTIPLYING.encode(), "more than 40 aliases"),
        (b"data: [1\n", "cannot be read as YAML"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
    ],
    ids=["nested", "multiplying", "torn", "binary"],
)
@pytest.mark.parametrize("form", ["--config={}", "--config {}", "-c {}"])
def test_files_that_no_parser_should_see_are_refused(tmp_path, content, match, form):
    (tmp_path / "stranger.yaml").write_bytes(content)
    with pytest.raises(InputError, match=match):
        check_files(["teacher", *form.format(tmp_path / "stranger.yaml").split()])


def test_settings_may_be_given_as_json_and_anchors_be_used(tmp_path):
    (tmp_path / "sound.yaml").write_text("a: &a [1, 2]\nb: *a\n")
    check_files(["teacher", "--config", str(tmp_path / "sound.yaml"), "--config", "{}", "--config"])
    with pytest.raises(InputError, match="nested"):
        check_files(["--config", "{" * 50_000])


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"model": {"width": 0}}, "model.width is 0, and must be 1 to 4096"),
        ({"model": {"hidden": [64, -1]}}, "model.hidden is -1"),
        ({"data": {"batch_size": -1}}, "data.batch_size is -1"),
        ({"model": {"optimizer": {"init_args": {"lr": float("nan")}}}}, "a finite number"),
        ({"data": {"points": 10**12}}, "data.points is 1000000000000"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_numbers_that_no_training_works_with_are_named(settings, match):
    with pytest.raises(InputError, match=match):
        check_values(settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": {"width": 0}}, "model.width is 0"),
        ({"model": {"widht": 8}}, "does not accept option 'widht'"),
        ({"model": {"width": "many"}}, 'Parser key "model.width"'),
    ],
)
def test_a_training_says_it_in_one_line(settings, said, tmp_path, capsys):
    asked = {"data": {"processed": str(tmp_path)}, "output": str(tmp_path / "out"), **settings}
    assert command.run(["teacher", "--config", json.dumps(asked)]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error"))
    assert said in line
    assert not (tmp_path / "out").exists()
