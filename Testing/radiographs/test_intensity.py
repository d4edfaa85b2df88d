"""From pixel values to line integrals and to what the networks see."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from SSRKDLib.core.errors import ImageError
from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances
from SSRKDLib.radiographs.collimation import blank_border
from SSRKDLib.radiographs.dicom_tags import DicomTags
from SSRKDLib.radiographs.dicom_writing import write_dicom
from SSRKDLib.radiographs.intensity import to_line_integral, values_as_shown, values_from_dicom
from SSRKDLib.radiographs.normalisation import CONTRAST_SIGMA_MM, network_channels
from SSRKDLib.radiographs.reading import read_radiograph
from Testing.support.shared_data import SHARED, needs_shared

SIZE = 192


def tube(rows, columns, centre, radius, tilt=0.0):
    """Chord lengths through an upright cylinder."""
    return 2 * np.sqrt(np.maximum(radius**2 - (columns - centre - tilt * rows) ** 2, 0))


def ball(rows, columns, row, column, radius):
    return 2 * np.sqrt(np.maximum(radius**2 - (rows - row) ** 2 - (columns - column) ** 2, 0))


@pytest.fixture(scope="module")
def knee():
    """A knee-like line integral, [192, 192] at 1.2 mm, with air on both sides and texture."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    soft = 1.2 * tube(rows, columns, 90, 62, 0.05) * 0.02
    shafts = tube(rows, columns, 90, 16) - 0.7 * tube(rows, columns, 90, 11)
    condyles = ball(rows, columns, 80, 76, 26) + ball(rows, columns, 82, 106, 24)
    gap = np.clip(np.abs(rows - 108) / 4, 0, 1)
    fibula = (rows > 115) * tube(rows, columns, 128, 6, 0.02)
    bone = (0.03 * shafts + 0.012 * condyles) * gap + 0.03 * fibula
    texture = gaussian_filter(np.random.default_rng(3).normal(size=rows.shape), 2)
    return gaussian_filter(soft * (1 + 0.3 * texture) + bone, 0.7)


@pytest.fixture
def view():
    plain = {"sdd": 1100, "sod": 800, "pixel_spacing": (1.2, 1.2), "size": (SIZE, SIZE)}
    return rig_from_distances([PlainView(angle=0, **plain), PlainView(angle=-90, **plain)]).views[0]


def channels_of(path):
    radiograph = read_radiograph(path)
    line, valid, _ = to_line_integral(radiograph.pixels, radiograph.values)
    return network_channels(line, valid, 1.2), line, valid


def test_presentation_and_raw_images_look_the_same_to_the_network(knee, view, tmp_path):
    for style in ("log", "linear", "presentation"):
        write_dicom(tmp_path / f"{style}.dcm", knee, view, style=style)
    reference, _, valid = channels_of(tmp_path / "linear.dcm")
    assert read_radiograph(tmp_path / "linear.dcm").values == "intensity"
    assert read_radiograph(tmp_path / "presentation.dcm").values == "display_inverted"
    assert valid.all()
    for style in ("log", "presentation"):
        other, line, _ = channels_of(tmp_path / f"{style}.dcm")
        assert spearmanr(line.ravel(), knee.ravel())[0] > 0.99
        assert spearmanr(reference[0].ravel(), other[0].ravel())[0] > 0.99
        assert np.corrcoef(reference[1].ravel(), other[1].ravel())[0, 1] > 0.97


@pytest.mark.parametrize("gamma", [0.6, 1.6])
def test_gamma_hardly_changes_local_contrast(knee, gamma):
    shown = 255 * (np.clip(knee, 0, None) / knee.max()) ** gamma
    valid = np.ones(knee.shape, bool)
    raw = network_channels(knee, valid, 1.2)
    other = network_channels(to_line_integral(np.rint(shown), "display")[0], valid, 1.2)
    assert np.corrcoef(raw[1].ravel(), other[1].ravel())[0, 1] > 0.95
    assert spearmanr(raw[0].ravel(), other[0].ravel())[0] > 0.99


def test_network_channels_follow_their_formula(knee):
    valid = np.ones(knee.shape, bool)
    valid[:, :20] = False
    made = network_channels(knee, valid, 1.2)
    assert made.dtype == np.float32 and made.shape == (2, SIZE, SIZE)
    assert not made[:, ~valid].any()
    low, high = np.percentile(knee[valid], (1, 99))
    image = np.clip((knee - low) / (high - low), -0.5, 1.5) * valid
    np.testing.assert_allclose(made[0], image, atol=1e-5)

    def smooth(values):
        options = {"sigma": CONTRAST_SIGMA_MM / 1.2, "mode": "constant", "truncate": 6}
        return gaussian_filter(values * valid, **options) / gaussian_filter(valid * 1.0, **options)

    mean = smooth(image)
    deviation = np.sqrt(smooth((image - mean.mean()) ** 2) - (mean - mean.mean()) ** 2)
    contrast = np.clip((image - mean) / (deviation + 0.1 * image[valid].std()), -3, 3) / 2
    np.testing.assert_allclose(made[1][valid], contrast[valid], atol=0.06)


def test_network_channels_ignore_invalid_and_affine(knee):
    valid = np.ones(knee.shape, bool)
    valid[:30] = False
    spoilt = knee.copy()
    spoilt[:30] = np.nan
    np.testing.assert_array_equal(
        network_channels(knee, valid, 1.2), network_channels(spoilt, valid, 1.2)
    )
    np.testing.assert_allclose(
        network_channels(knee, valid, 1.2),
        network_channels(100 + 7 * knee, valid, 1.2),
        atol=2e-3,
    )
    assert not network_channels(np.ones((64, 64)), np.ones((64, 64), bool), 1).any()


def test_network_channels_are_fast(knee):
    valid = np.ones(knee.shape, bool)
    seconds = []
    for _ in range(10):
        start = time.thread_time()
        network_channels(knee, valid, 1.2)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.015  # 3 ms on an idle core


def test_counts_follow_beer_lambert_and_survive_zeros(knee):
    counts = 1000 * np.exp(-knee)
    counts[100, 90] = 0
    counts[101, 90] = -5
    line, valid, _ = to_line_integral(counts, "intensity", air=1000)
    good = counts > 0
    np.testing.assert_allclose(line[good], knee[good], atol=1e-5)
    assert np.isfinite(line).all() and line[100, 90] >= line[good].max()
    assert valid.all()
    assert abs(to_line_integral(counts, "intensity")[0][good] - knee[good]).max() < 0.01


def test_line_integrals_pass_and_display_is_scaled(knee):
    line, _, notes = to_line_integral(knee, "line_integral")
    np.testing.assert_allclose(line, knee, atol=1e-6)
    assert notes == ()
    shown = to_line_integral(knee * 500 + 3, "display")[0]
    inverted = to_line_integral(4095 - (knee * 500 + 3), "display_inverted")[0]
    np.testing.assert_allclose(shown, inverted, atol=1e-4)
    assert 3.5 < np.percentile(shown, 99.5) < 4.5
    with pytest.raises(ImageError, match="air"):
        to_line_integral(knee, "intensity", air=-1)
    with pytest.raises(ImageError, match="kind"):
        to_line_integral(knee, "hounsfield")


def test_collimated_border_is_invalid_and_air_is_not(knee):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    outside = (rows - 96) ** 2 + (columns - 96) ** 2 > 95**2
    counts = np.rint(255 * np.exp(-knee))
    counts[outside] = 0
    _, valid, notes = to_line_integral(counts, "intensity", air=255)
    assert not valid[outside].any() and valid[96, 10:180].all()
    assert "outside" in notes[0]
    # A workstation painted black what lies outside: a jump, unlike the air beside the leg.
    shown = np.rint(255 * np.clip(knee + 0.5, 0, None) / 4)
    shown[:, :50] = 0
    shown[:, 150:] = 0
    assert blank_border(shown, may_black_out_air=True)[:, :50].all()
    assert not blank_border(np.rint(knee * 60), may_black_out_air=True).any()


@pytest.mark.parametrize(
    ("expected", "tags"),
    [
        ("intensity", {"relationship": "LIN", "relationship_sign": 1, "intent": "FOR PROCESSING"}),
        ("display_inverted", {"relationship": "LIN", "relationship_sign": 1,
                              "intent": "FOR PRESENTATION"}),
        ("display", {"relationship": "LIN", "relationship_sign": -1}),
        ("display", {"relationship": "LOG", "relationship_sign": -1,
                     "photometric": "MONOCHROME1"}),
        ("display_inverted", {"relationship": "LOG", "relationship_sign": 1}),
        ("display", {"photometric": "MONOCHROME2"}),
        ("display_inverted", {"photometric": "MONOCHROME1"}),
        ("intensity", {"modality": "XA", "relationship": "LIN", "photometric": "MONOCHROME2"}),
        ("display_inverted", {"modality": "XA", "relationship": "LOG",
                              "photometric": "MONOCHROME2"}),
        (None, {"photometric": "RGB"}),
    ],
)  # fmt: skip
def test_values_from_dicom(expected, tags):
    tags = {"modality": "DX", "size": (64, 64), **tags}
    values, notes = values_from_dicom(DicomTags(**tags))
    assert values == expected
    assert bool(notes) == ("relationship_sign" not in tags)
    # ITK turns MONOCHROME1 over, whatever its values mean.
    if tags.get("photometric") == "MONOCHROME1":
        expected = {"display": "display_inverted", "display_inverted": "display"}[expected]
    assert values_as_shown(DicomTags(**tags)) == (expected, notes)


@needs_shared
def test_real_fluoroscope_field():
    path = SHARED / "data/biplane_knee/L_Hop_Cam1_001_UND.0180.tif"
    radiograph = read_radiograph(path)
    line, valid, _ = to_line_integral(radiograph.pixels, "intensity")
    assert not valid[:50, :50].any() and valid[300:1400, 300:1400].all()
    assert line[200, 880] == 0  # air is saturated
    assert line[800, 800] > 1
