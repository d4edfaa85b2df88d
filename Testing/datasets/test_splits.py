"""``info.json``: the splits of prepared cases."""

from __future__ import annotations

import json

import pytest

from SSRKDLib.core.errors import InputError, OutputError
from SSRKDLib.datasets.splits import read_info, write_info


def test_info_is_read_beside_the_cases_or_above_them(tmp_path):
    processed = tmp_path / "processed"
    processed.mkdir()
    splits = {"train": ["a"], "unlabeled": ["b"], "eval": [], "test": ["c"]}
    (tmp_path / "info.json").write_text(json.dumps({"train": ["z"], "test": []}))
    assert read_info(processed)["train"] == ["z"] and read_info(processed)["eval"] == []
    write_info(processed, splits)
    assert read_info(processed) == splits
    write_info(processed, {**splits, "eval": ["a"]})
    with pytest.raises(InputError, match="two splits"):
        read_info(processed)
    info = processed / "info.json"
    for bad in ({"test": ["/elsewhere/k1"]}, {"test": ["../k1"]}, {"test": "k1"}, {"test": [1]}):
        info.write_text(json.dumps(bad))
        with pytest.raises(InputError, match=r"name a case|list of cases"):
            read_info(processed)
    info.write_text("[" * 100_000)
    with pytest.raises(InputError, match="cannot be read"):
        read_info(processed)


def test_splits_that_somebody_edited_are_not_replaced(tmp_path):
    splits = {"train": ["a"], "unlabeled": ["b"], "eval": [], "test": ["c"]}
    (tmp_path / "info.json").write_text(json.dumps(splits, indent=1) + "\n")
    write_info(tmp_path, splits)  # as an earlier version wrote them
    for text in (json.dumps(splits), json.dumps({**splits, "train": ["b"]}, indent=1) + "\n"):
        (tmp_path / "info.json").write_text(text)
        with pytest.raises(OutputError, match="was changed"):
            write_info(tmp_path, splits)
        assert (tmp_path / "info.json").read_text() == text
    (tmp_path / ".ssrkd-manifest.json").unlink()
    (tmp_path / "info.json").write_text('{"train": []}')
    with pytest.raises(OutputError, match="was not written by this program"):
        write_info(tmp_path, splits)
