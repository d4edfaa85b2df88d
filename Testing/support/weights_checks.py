"""What the tests of bundles and of the official import share."""

from __future__ import annotations

import pytest

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.weights import catalogue
from SSRKDLib.weights.bundle import read_bundle


def use_only(tmp_path, monkeypatch):
    """Makes the catalogue see folders in ``tmp_path`` only; returns the user's."""
    folder = tmp_path / "user" / "weights"
    monkeypatch.setenv("SSRKD_WEIGHTS", str(folder))
    monkeypatch.setattr(catalogue, "SHIPPED_FOLDER", tmp_path / "shipped")
    return folder


def refused(match, path, read=read_bundle):
    """One sentence of cause and one of remedy, both there."""
    with pytest.raises(WeightsError, match=match) as caught:
        read(path)
    assert caught.value.cause.endswith(".") and caught.value.remedy.endswith(".")
    assert "\n" not in str(caught.value)
