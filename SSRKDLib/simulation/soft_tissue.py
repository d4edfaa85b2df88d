"""Everything of a leg that is not bone: outline, skin, fat, muscles, septa and tendons.

Works in the leg's frame (see :class:`SSRKDLib.surfaces.knee.LegFrame`): +z from shank to
thigh, -y towards the patella, origin in the joint, millimetres. Every cross-section is described
in polar coordinates around the leg's centre line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from SSRKDLib.ct.hounsfield import attenuation

#: Directions around the leg in which the outline is kept (5 degrees each).
_DIRECTIONS = 72
#: Marks in the map of what the skin has to keep clear of.
TENDON, BONE = 1, 2


@dataclass(frozen=True)
class SoftTissue:
    """One person's soft tissue. Lengths in mm.

    Attributes:
        around: tissue on either side of the bones at the joint.
        thigh, calf: growth of the outline's radius 120 mm above and below the joint, share.
        back: how far behind the bones the leg's centre runs, at the joint; ``calf_back`` more
            than that 120 mm below it.
        irregular: relative standard deviation of the outline.
        fat: mean thickness of the fat under the skin; ``skin`` that of the skin.
        cover: least tissue over bone.
        muscles: number of muscles in a cross-section; ``septum`` thickness of the fat between.
        texture: relative standard deviation of the attenuation within a tissue.
    """

    around: float
    thigh: float
    calf: float
    back: float
    calf_back: float
    irregular: float
    fat: float
    skin: float
    cover: float
    muscles: int
    septum: float
    texture: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> SoftTissue:
        """One person's soft tissue at random, from lean to obese."""
        return cls(
            around=rng.uniform(10, 26),
            thigh=rng.uniform(0.08, 0.4),
            calf=rng.uniform(-0.1, 0.1),
            back=rng.uniform(2, 12),
            calf_back=rng.uniform(4, 14),
            irregular=rng.uniform(0.02, 0.05),
            fat=rng.uniform(3, 13),
            skin=rng.uniform(1.3, 2.3),
            cover=rng.uniform(5, 9),
            muscles=int(rng.integers(8, 14)),
            septum=rng.uniform(0.8, 2.5),
            texture=rng.uniform(0.005, 0.02),
        )

    @property
    def widest(self) -> float:
        """Room that this leg needs beside its bones, mm."""
        return 1.5 * self.around + 60 * max(self.thigh, 0) + self.back + self.calf_back + 12


def tendons(
    bones: dict[str, tuple[np.ndarray, np.ndarray]],
    origin: np.ndarray,
    spacing: float,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """Marks (uint8 ``[k, j, i]``) of the patellar and quadriceps tendons.

    Two flat bands: from the patella's lower pole to the tibia's tuberosity, and from its upper
    pole along the front of the femur.
    """
    patella, femur, tibia = (bones[bone][0] for bone in ("patella", "femur", "tibia"))
    low, high = patella[patella[:, 2].argmin()], patella[patella[:, 2].argmax()]
    shin = tibia[(tibia[:, 2] < low[2] - 20) & (tibia[:, 2] > low[2] - 65)]
    thigh = femur[(femur[:, 2] > high[2] + 30) & (femur[:, 2] < high[2] + 90)]
    marks = np.zeros(shape, np.uint8)
    forward = np.array([0.0, -2.5, 0.0])
    for start, target in ((low, shin), (high, thigh)):
        if len(target):
            end = target[target[:, 1].argmin()] + forward
            _band(marks, start, end, origin, spacing)
    return marks


def _band(
    marks: np.ndarray, start: np.ndarray, end: np.ndarray, origin: np.ndarray, spacing: float
) -> None:
    """Draw a band 24 mm wide (x) and 5 mm thick (y) between two points, in place."""
    lower, upper = (start, end) if start[2] < end[2] else (end, start)
    for k in range(len(marks)):
        height = origin[2] + k * spacing
        if not lower[2] - 4 <= height <= upper[2] + 4:
            continue
        t = np.clip((height - lower[2]) / max(upper[2] - lower[2], 1e-6), 0, 1)
        x, y, _ = lower + t * (upper - lower)
        across = (origin[0] + spacing * np.arange(marks.shape[2]) - x) / 12.0
        deep = (origin[1] + spacing * np.arange(marks.shape[1]) - y) / 2.5
        marks[k][deep[:, None] ** 2 + across**2 < 1] = TENDON


def fill_soft_tissue(
    hard: np.ndarray,
    origin: np.ndarray,
    spacing: float,
    soft: SoftTissue,
    energy: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Attenuation of a leg without its bones, 1/mm, float32 ``[k, j, i]``; air is 0.

    Args:
        hard: uint8 ``[k, j, i]``, 0, :data:`TENDON` or :data:`BONE`: what the skin covers.
        origin: (x, y, z) of voxel (0, 0, 0)'s centre, mm in the leg's frame.
        spacing: voxel edge, mm.
        soft: the person.
        energy: effective photon energy, keV.
        rng: the randomness.
    """
    heights = origin[2] + spacing * np.arange(len(hard))
    x = origin[0] + spacing * np.arange(hard.shape[2])
    y = origin[1] + spacing * np.arange(hard.shape[1])
    centre = _centre_line(hard, x, y, heights, soft)
    reach = _hard_reach(hard, x, y, centre)
    outline = _outline(reach, heights, spacing, soft, rng)
    fat = _polar_noise(len(heights), (12.0, 35 / spacing), rng)
    fat = soft.fat * np.exp(0.35 * fat)
    lumps = _coarse_noise(hard.shape, spacing, 5.0, rng)
    fine = _coarse_noise(hard.shape, spacing, 2.5, rng)
    seeds = _muscle_seeds(soft, rng)
    tissue = {name: attenuation(name, energy) for name in ("skin", "adipose", "muscle", "tendon")}
    values = np.zeros(hard.shape, np.float32)
    for k, height in enumerate(heights):
        window = _window(x, y, centre[k], outline[k].max() + spacing)
        across = (x[window[1]] - centre[k, 0]).astype(np.float32)[None]
        deep = (y[window[0]] - centre[k, 1]).astype(np.float32)[:, None]
        radius = np.hypot(across, deep)
        direction = (np.arctan2(deep, across) / (2 * np.pi) * _DIRECTIONS) % _DIRECTIONS
        edge = _around(outline[k], direction)
        under = edge - radius
        lump = lumps[k][window]
        muscle = _septa(across, deep, float(outline[k].mean()), height, seeds, soft.septum)
        # Near the joint muscles give way to capsule and pads of fat.
        padded = np.exp(-((height / 40) ** 2)) * (lump > 0.35)
        muscle = np.minimum(muscle, 1 - padded)
        section = tissue["adipose"] + muscle * (tissue["muscle"] - tissue["adipose"])
        section[under < soft.skin + _around(fat[k], direction)] = tissue["adipose"]
        section[hard[k][window] == TENDON] = tissue["tendon"]
        section[under < soft.skin] = tissue["skin"]
        section *= 1 + soft.texture * (fine[k][window] + lump)
        values[k][window] = section * np.clip(under / spacing + 0.5, 0, 1)
    return values


def _window(x: np.ndarray, y: np.ndarray, centre: np.ndarray, reach: float) -> tuple[slice, slice]:
    """The rows and columns of a slice that lie within ``reach`` of the leg's centre."""
    rows = np.searchsorted(y, [centre[1] - reach, centre[1] + reach])
    columns = np.searchsorted(x, [centre[0] - reach, centre[0] + reach])
    return slice(*(int(n) for n in rows)), slice(*(int(n) for n in columns))


def _centre_line(
    hard: np.ndarray, x: np.ndarray, y: np.ndarray, heights: np.ndarray, soft: SoftTissue
) -> np.ndarray:
    """The leg's centre (x, y) at each height, ``[k, 2]`` mm: the bones' mass, smooth, set back."""
    bone = hard == BONE
    mass = np.maximum(bone.sum((1, 2)), 1)
    centre = np.stack([(bone.sum(1) @ x) / mass, (bone.sum(2) @ y) / mass], axis=1)
    centre = ndimage.gaussian_filter1d(centre, 15 / (heights[1] - heights[0]), axis=0)
    down = np.clip(-heights / 120, 0, 1.4)
    centre[:, 1] += soft.back + soft.calf_back * down
    return centre


def _hard_reach(hard: np.ndarray, x: np.ndarray, y: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """How far from the centre line bone and tendon reach, mm, ``[k, direction]``."""
    reach = np.zeros((len(hard), _DIRECTIONS), np.float32)
    for k, section in enumerate(hard):
        rows, columns = np.nonzero(section)
        across, deep = x[columns] - centre[k, 0], y[rows] - centre[k, 1]
        direction = np.arctan2(deep, across) / (2 * np.pi) * _DIRECTIONS
        bins = np.floor(direction).astype(int) % _DIRECTIONS
        np.maximum.at(reach[k], bins, np.hypot(across, deep))
    return reach


def _outline(
    reach: np.ndarray,
    heights: np.ndarray,
    spacing: float,
    soft: SoftTissue,
    rng: np.random.Generator,
) -> np.ndarray:
    """Radius of the skin, mm, ``[k, direction]``: never nearer than ``cover`` to bone."""
    at_joint = np.abs(heights) < 30
    bones = float(np.median(reach[at_joint].max(1)))
    growth = np.where(heights > 0, soft.thigh * heights, -soft.calf * heights) / 120
    # The waist just below the joint, where the calf has not begun.
    waist = 1 - 0.05 * np.exp(-(((heights + 45) / 25) ** 2))
    radius = (0.85 * bones + soft.around) * (1 + np.clip(growth, -0.2, 0.6)) * waist
    shape = soft.irregular * _polar_noise(len(heights), (5.0, 40 / spacing), rng)
    free = radius[:, None] * (1 + shape)
    covered = ndimage.maximum_filter(
        reach, size=(2 * int(6 / spacing) + 1, 5), mode=("nearest", "wrap")
    )
    outline = np.maximum(free, covered + soft.cover)
    outline = ndimage.gaussian_filter(outline, (6 / spacing, 1.5), mode=("nearest", "wrap"))
    return np.maximum(outline, covered + 0.6 * soft.cover).astype(np.float32)


def _muscle_seeds(soft: SoftTissue, rng: np.random.Generator) -> np.ndarray:
    """Muscles' middles in a cross-section of radius 1, and their drift over 100 mm, ``[n, 4]``."""
    angle = rng.uniform(0, 2 * np.pi, soft.muscles)
    distance = np.sqrt(rng.uniform(0.1, 0.9, soft.muscles))
    drift = rng.normal(0, 0.12, (soft.muscles, 2))
    return np.column_stack([distance * np.cos(angle), distance * np.sin(angle), drift])


def _septa(
    across: np.ndarray,
    deep: np.ndarray,
    radius: float,
    height: float,
    seeds: np.ndarray,
    thickness: float,
) -> np.ndarray:
    """1 within a muscle, 0 in the fat where two muscles meet, ``[j, i]``."""
    middles = (seeds[:, :2] + seeds[:, 2:] * height / 100) * radius
    first = np.full((len(deep), across.shape[1]), np.inf, np.float32)
    second = first.copy()
    for middle in middles.astype(np.float32):
        distance = np.sqrt((across - middle[0]) ** 2 + (deep - middle[1]) ** 2)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return np.clip((second - first) / thickness - 0.5, 0, 1)


def _around(profile: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """A profile ``[direction]`` (bin middles at + 0.5) read at fractional directions."""
    position = direction - 0.5
    low = np.floor(position).astype(int)
    share = position - low
    low %= _DIRECTIONS
    return profile[low] * (1 - share) + profile[(low + 1) % _DIRECTIONS] * share


def _polar_noise(count: int, sigma: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Smooth random ``[count, direction]`` of mean 0, deviation 1; sigma (directions, slices)."""
    field = rng.standard_normal((count, _DIRECTIONS), dtype=np.float32)
    field = ndimage.gaussian_filter(field, (sigma[1], sigma[0]), mode=("reflect", "wrap"))
    return (field - field.mean()) / max(float(field.std()), 1e-9)


def _coarse_noise(
    shape: tuple[int, int, int], spacing: float, sigma: float, rng: np.random.Generator
) -> np.ndarray:
    """Smooth random ``[k, j, i]`` of deviation 1, float32, made coarse and interpolated."""
    step = max(1.0, sigma / 1.25 / spacing)
    coarse = [int(np.ceil(n / step)) + 1 for n in shape]
    field = rng.standard_normal(coarse, dtype=np.float32)
    field = ndimage.gaussian_filter(field, sigma / spacing / step, mode="wrap")
    field /= max(float(field.std()), 1e-9)
    field = torch.from_numpy(field)[None, None]
    return functional.interpolate(field, shape, mode="trilinear", align_corners=True)[0, 0].numpy()
