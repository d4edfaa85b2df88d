"""What every reconstruction from files begins with, the command's and the panel's alike."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.errors import ImageError
from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances
from SSRKDLib.images.writing import write_image
from SSRKDLib.radiographs.exposure import Source, with_sources
from SSRKDLib.reconstruction.job import Job


def test_of_both_knees_the_wanted_one_is_read(tmp_path):
    """In the field that the caller gives too, as the panel does."""
    plain = {"sdd": 1200.0, "sod": 900.0, "pixel_spacing": (1.5, 1.5), "size": (300, 60)}
    angles = {"frontal": 0.0, "lateral": -90.0}
    rig = rig_from_distances([PlainView(angle=a, name=n, **plain) for n, a in angles.items()], "L")
    places = {"frontal": (60, 240), "lateral": (150,)}
    for name, middles in places.items():
        film = sum(np.maximum(40 - np.abs(np.arange(300) - middle), 0) for middle in middles)
        write_image(tmp_path / f"{name}.nrrd", np.tile(film / 10, (60, 1)).astype(np.float32))
    rig = with_sources(rig, [Source(str(tmp_path / f"{name}.nrrd")) for name in angles])
    field = np.ones((60, 300), bool)
    field[:5] = False
    job = Job.read(rig, [field, None])
    shown = job.exposures[0].valid
    left = slice(200, 280) if rig.views[0].column_direction[0] > 0 else slice(20, 100)
    assert shown[5:, left].all() and not shown[:5].any() and shown.mean() < 0.6
    assert job.exposures[1].valid.all()
    moved = job.rig.views[0].source - rig.views[0].source
    np.testing.assert_allclose(moved, [-101.25, 0, 0], atol=4)  # 90 columns of 1.125 mm
    assert "the left one is taken" in job.rig.assumptions[-1]


def test_one_image_for_two_views_is_refused(tmp_path):
    """It would be a knee seen from one direction only, which no warning tells so surely."""
    plain = {"sdd": 1200.0, "sod": 900.0, "pixel_spacing": (1.5, 1.5), "size": (60, 60)}
    angles = {"frontal": 0.0, "lateral": -90.0}
    rig = rig_from_distances([PlainView(angle=a, name=n, **plain) for n, a in angles.items()], "L")
    film = np.random.default_rng(0).normal(1, 0.2, (60, 60)).astype(np.float32)
    for name, again in (("frontal", film), ("same", film), ("other", film + 0.01)):
        write_image(tmp_path / f"{name}.nrrd", again)
    paths = {name: Source(str(tmp_path / f"{name}.nrrd")) for name in ("frontal", "same", "other")}
    Job.read(with_sources(rig, [paths["frontal"], paths["other"]]))
    with pytest.raises(ImageError, match="'frontal' and 'lateral' show the same image"):
        Job.read(with_sources(rig, [paths["frontal"], paths["same"]]))
