"""A CT of the knee of balls whose bones differ in brightness, and a teacher set by hand to tell
them by it: what comes out of a CT is then known to a fraction of a voxel.

A bone's ball begins where the brightness reaches the bone's band; the brightness goes on rising
half a band into the ball, and falls to soft tissue's around it. (So thin shells of the darker bones
lie around the brighter ones; of the bands the largest bones have the darkest.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.images.writing import write_image
from SSRKDLib.networks.official_teacher import OfficialTeacher
from SSRKDLib.weights.bundle import write_bundle
from Testing.support.ball_knee import distances

#: Where each bone's band begins, as the network sees it: clip((HU + 400) / 900, 0, 1).
BANDS = {"femur": 0.55, "tibia": 0.65, "patella": 0.75, "fibula": 0.85}
WIDTH, SOFT = 0.1, 0.44

#: Change of brightness per mm, and radius of the leg, mm.
SLOPE, LEG = 0.2, 75.0

#: A small network: what it computes is set by hand anyway.
ARGUMENTS: dict = {"width": 4, "head_channels": 8, "hidden": [16]}


def band_values(points: np.ndarray) -> np.ndarray:
    """Hounsfield units ``[N]`` of the balls in a round leg at points ``[N, 3]``, mm, canonical."""
    depth = distances(points)
    start = np.array([BANDS[bone] for bone in BONES])
    seen = (start + np.minimum(SLOPE * depth, WIDTH / 2)).max(axis=1)
    in_leg = np.linalg.norm(points[:, :2], axis=1) < LEG
    return np.where(in_leg, 900 * np.maximum(seen, SOFT) - 400, -1000)


def band_ct(
    pose: np.ndarray | None = None,
    size: tuple[int, int, int] = (80, 90, 110),
    spacing: tuple[float, float, float] = (1.8, 1.6, 1.6),
    direction: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Hounsfield units ``[k, j, i]`` int16 and the affine from (i, j, k) to LPS mm.

    Args:
        pose: 4x4, world of the canonical knee; default: the same. The CT is centred on the knee.
        size, spacing: voxels and mm along i, j, k.
        direction: ``[3, 3]``, columns i, j, k.
    """
    pose = np.eye(4) if pose is None else pose
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if direction is None else direction) * np.array(spacing)
    affine[:3, 3] = pose[:3, 3] - affine[:3, :3] @ ((np.array(size) - 1) / 2)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size[::-1]), indexing="ij"), -1)
    world = index.reshape(-1, 3)[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    canonical = (world - pose[:3, 3]) @ np.linalg.inv(pose[:3, :3]).T
    return np.rint(band_values(canonical)).astype(np.int16).reshape(size[::-1]), affine


def write_band_ct(path: Path, **how: object) -> Path:
    """The file of :func:`band_ct`."""
    write_image(path, *band_ct(**how), compress=False)
    return path


def band_teacher(arguments: dict = ARGUMENTS) -> OfficialTeacher:
    """A teacher that tells the bones by their bands; arguments of ``OfficialTeacher``."""
    teacher = OfficialTeacher(**arguments).eval()
    with torch.no_grad():
        for name, tensor in teacher.state_dict().items():
            if name.endswith("running_var"):
                tensor.fill_(1.0)
            elif tensor.is_floating_point():
                tensor.zero_()
        network = teacher.im_filter
        for block in (network.block_one, network.block_nine, network.head_9):
            convolution, norm, _ = block.conv
            convolution.weight[0, 0, 1, 1, 1] = 1.0
            norm.weight.fill_(1.0)
        last = teacher.surface_classifier.layers[-1]
        # A class's logit is that of the band below, and grows faster from its own band on.
        brightness = last.weight.shape[1] - teacher.surface_classifier.layers[0].weight.shape[1]
        slope = offset = 0.0
        for bone, start in BANDS.items():
            slope, offset = slope + 100.0, offset - 100.0 * start
            last.weight[LABELS[bone], brightness, 0] = slope
            last.bias[LABELS[bone]] = offset
    return teacher


def write_band_bundle(
    path: Path,
    voxel: float = 3.6,
    window: int = 48,
    name: str = "bands",
    official: bool = False,
    arguments: dict | None = None,
) -> Path:
    """A bundle with the teacher alone.

    Args:
        path: of the archive.
        voxel, window, name: what its manifest says.
        official: as the published checkpoint is imported; says nothing of voxels.
        arguments: of ``OfficialTeacher``; default: :data:`ARGUMENTS`.
    """
    arguments = ARGUMENTS if arguments is None else arguments
    manifest = {
        "name": name,
        "title": "Bands",
        "kind": "official" if official else "ssrkd",
        "networks": {
            "teacher": {"architecture": "official_teacher:OfficialTeacher", "arguments": arguments}
        },
        "labels": LABELS,
        "geometry": {} if official else {"ct": {"voxel_mm": voxel, "window": window}},
        "normalisation": {},
        "training": {},
        "scores": {},
        "licence": "MIT",
    }
    state = band_teacher(arguments).state_dict()
    tensors = {f"teacher.{key}": tensor for key, tensor in state.items()}
    write_bundle(path, manifest, tensors)
    return path


class BandModel:
    """Stands in for :class:`~SSRKDLib.models.ct_model.CtModel`: what the bands say, without a
    network.

    Attributes:
        asked: shapes of the windows that it was asked about.
    """

    name, device, surface = "bands", "cpu", "field"
    manifest = {"sha256": "0" * 64}  # noqa: RUF012

    def __init__(self, voxel: float | None = 3.6, window: int = 48) -> None:
        self.voxel, self.window = voxel, window
        self.notes: tuple[str, ...] = ()
        self.extent = float("inf")
        self.asked: list[tuple[int, ...]] = []

    def margins(self, values: np.ndarray) -> np.ndarray:
        self.asked.append(values.shape)
        assert values.dtype == np.float32 and values.min() >= 0 and values.max() <= 1
        found = np.empty((len(BONES), *values.shape), np.float32)
        for bone, start in BANDS.items():
            above = start + WIDTH if start < max(BANDS.values()) else 2.0
            found[BONES.index(bone)] = np.minimum(values - start, above - values)
        return found
