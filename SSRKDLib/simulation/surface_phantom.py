"""What a virtual leg is made of, as closed surfaces: cortex, marrow space, muscle, fat and skin.

Materials are nested: the path through cortical bone is the path through the outer surface of a bone
less that through its inner surface, and so on outwards. Every surface reaches well past any field
of view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.boxes import bounding_box
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation.path_lengths import path_lengths
from SSRKDLib.simulation.random_shape import Bones
from SSRKDLib.surfaces.mesh import Mesh

_ANGLES = 64
_RING_STEP = 8.0
_LEG_REACH = 264.0


@dataclass(frozen=True)
class Leg:
    """Surfaces of one leg, ``(vertices [N, 3] mm, faces [M, 3])`` each, in one frame."""

    outer: dict[str, tuple[np.ndarray, np.ndarray]]
    inner: dict[str, tuple[np.ndarray, np.ndarray]]
    muscle: tuple[np.ndarray, np.ndarray]
    skin: tuple[np.ndarray, np.ndarray]


def random_leg(bones: Bones, faces: dict[str, np.ndarray], rng: np.random.Generator) -> Leg:
    """Random tissue around the bones of one knee (canonical frame, mm)."""
    outer = {bone: (bones[bone], faces[bone]) for bone in BONES}
    inner = {
        bone: (bones[bone] - cortex_offset(bone, bones[bone], faces[bone], rng), faces[bone])
        for bone in BONES
    }
    skin, muscle = leg_outlines(_all_points(outer), rng)
    return Leg(outer, inner, muscle, skin)


def moved_leg(leg: Leg, motions: Mapping[str, np.ndarray], rng: np.random.Generator) -> Leg:
    """The same bones, each carried by its rigid 4x4, in soft tissue that is drawn anew."""
    outer, inner = (
        {
            bone: (points @ motions[bone][:3, :3].T + motions[bone][:3, 3], faces)
            for bone, (points, faces) in surfaces.items()
        }
        for surfaces in (leg.outer, leg.inner)
    )
    skin, muscle = leg_outlines(_all_points(outer), rng)
    return Leg(outer, inner, muscle, skin)


def _all_points(surfaces: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.concatenate([surfaces[bone][0] for bone in BONES])


def cortex_offset(
    bone: str, vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Vector from the marrow space to the outer surface at each vertex, ``[N, 3]`` mm.

    The cortex is thin at the joint and thick along the shaft.
    """
    ends = rng.uniform(0.5, 1.7)
    shaft = {"patella": 0.8, "femur": 4.5, "fibula": 2.2, "tibia": 4.5}[bone]
    shaft = max(ends, shaft * rng.uniform(0.65, 1.4))
    from_joint = np.abs(vertices[:, 2]) if bone != "fibula" else -25.0 - vertices[:, 2]
    share = np.clip((from_joint - rng.uniform(15, 35)) / rng.uniform(45, 90), 0, 1)
    share = share * share * (3 - 2 * share)
    knots = rng.normal(1, 0.15, (8, 8, 8))
    coordinates = (np.clip(vertices, -140, 140) + 140).T / 40
    uneven = ndimage.map_coordinates(knots, coordinates, order=3, mode="nearest")
    thickness = (ends + (shaft - ends) * share) * np.clip(uneven, 0.5, 1.6)
    return thickness[:, None] * Mesh(vertices, faces).vertex_normals()


def leg_outlines(
    points: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Skin, and the border between fat and muscle, as two closed tubes around bone ``points``.

    Stacked rings about a line behind the bones: thigh, knee and calf have their own girth, offset
    and irregularity. Legs run from very thin, whose skin follows the bones, to obese. What lies
    over bone is 2 to 8 mm where the leg is thin, as in front of the patella; in three legs of ten
    the outline is drawn without regard to the bones and crosses them anywhere, so that its edge
    says nothing about a bone's.
    """
    heights = np.arange(-_LEG_REACH, _LEG_REACH + 1, _RING_STEP)
    angles = np.linspace(-np.pi, np.pi, _ANGLES, endpoint=False)
    anchors = np.array([-260.0, -90.0, 0.0, 90.0, 260.0])
    level = np.clip(np.rint((points[:, 2] + _LEG_REACH) / _RING_STEP), -1, len(heights))
    centres = _bone_middles(points, level, len(heights))
    backwards = np.interp(heights, anchors, rng.uniform([5, 8, 0, 2, 0], [22, 26, 14, 18, 15]))
    centres = centres + np.stack([rng.normal(0, 4) + 0 * backwards, backwards], axis=1)
    bone_radius = _bone_radius(points, level, centres)

    size = np.ptp(points[np.abs(points[:, 2]) < 30, 0]) / 80.0
    stoutness = rng.uniform(0.75, 1.3) if rng.random() < 0.8 else rng.uniform(1.3, 1.8)
    girth = np.array([42.0, 52.0, 52.0, 62.0, 80.0]) * rng.uniform(0.88, 1.15, 5)
    radius = np.interp(heights, anchors, girth * stoutness * size)[:, None]
    radius = ndimage.gaussian_filter1d(radius, 3.0, axis=0, mode="nearest")
    waves = np.ones_like(bone_radius)
    for order in range(1, 6):
        phase = rng.uniform(0, 2 * np.pi) + ndimage.gaussian_filter1d(
            rng.normal(0, 8, len(heights)), 8, mode="nearest"
        )
        waves += rng.normal(0, 0.07 / order) * np.cos(order * angles + phase[:, None])

    crossing = rng.random() < 0.3
    if crossing:
        cover = rng.uniform(-12, 4) + rng.uniform(2, 6) * _smooth(bone_radius.shape, rng)
    else:
        cover = rng.uniform(2, 8) * np.exp(0.25 * _smooth(bone_radius.shape, rng))
    covered = bone_radius + cover
    skin = np.maximum(radius * waves, covered)
    skin = ndimage.gaussian_filter(skin, 1.0, mode=("nearest", "wrap"))
    if not crossing:
        skin = np.maximum(skin, bone_radius + np.minimum(cover, 2.0))
    fat = rng.uniform(1, 16) if rng.random() < 0.8 else rng.uniform(16, 40)
    fat = fat * np.clip(1 + 0.5 * _smooth(skin.shape, rng), 0.2, None)
    muscle = np.clip(skin - fat, np.minimum(bone_radius + 0.3, skin - 0.5), skin - 0.5)
    return tube(heights, centres, angles, skin), tube(heights, centres, angles, muscle)


def _bone_middles(points: np.ndarray, level: np.ndarray, rings: int) -> np.ndarray:
    """The smooth line through the middles of the bones' sections, ``[rings, 2]`` mm."""
    centres = np.full((rings, 2), np.nan)
    for k in range(rings):
        section = points[np.abs(level - k) <= 1, :2]
        if len(section):
            centres[k] = bounding_box(section).mean(axis=0)
    # Short bones, much flexed: the far end of the tube stays where the bones end.
    known = np.flatnonzero(np.isfinite(centres[:, 0]))
    centres = np.stack(
        [np.interp(np.arange(rings), known, centres[known, axis]) for axis in (0, 1)], axis=1
    )
    return ndimage.gaussian_filter1d(centres, 2.0, axis=0, mode="nearest")


def _bone_radius(points: np.ndarray, level: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """How far from its ring's centre bone reaches in each direction, ``[rings, angles]`` mm."""
    reach = np.zeros((len(centres), _ANGLES))
    for k, centre in enumerate(centres):
        around = points[np.abs(level - k) <= 1, :2] - centre
        bins = np.floor((np.arctan2(around[:, 1], around[:, 0]) + np.pi) / (2 * np.pi) * _ANGLES)
        np.maximum.at(reach[k], bins.astype(int) % _ANGLES, np.linalg.norm(around, axis=1))
    # A vertex counts for its own direction and the two beside it; directions are the bins' edges.
    return ndimage.maximum_filter(reach, (1, 4), origin=(0, 0), mode=("nearest", "wrap"))


def _smooth(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A smooth random field around the leg of mean 0 and deviation 1, ``[rings, angles]``."""
    field = ndimage.gaussian_filter(rng.normal(size=shape), (4, 6), mode=("nearest", "wrap"))
    return (field - field.mean()) / field.std()


def tube(
    heights: np.ndarray, centres: np.ndarray, angles: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A closed outward tube of stacked rings, ``radius`` ``[rings, angles]`` mm about
    ``centres`` ``[rings, 2]`` at ``heights``."""
    rings, count = radius.shape
    ring_points = np.stack(
        [
            centres[:, :1] + radius * np.cos(angles),
            centres[:, 1:] + radius * np.sin(angles),
            np.broadcast_to(heights[:, None], radius.shape),
        ],
        axis=-1,
    ).reshape(-1, 3)
    caps = np.array([[*centres[0], heights[0]], [*centres[-1], heights[-1]]])
    k, j = np.meshgrid(np.arange(rings - 1), np.arange(count), indexing="ij")
    corner, beside = k * count + j, k * count + (j + 1) % count
    above, beside_above = corner + count, beside + count
    sides = np.concatenate(
        [
            np.stack([corner, beside, beside_above], -1).reshape(-1, 3),
            np.stack([corner, beside_above, above], -1).reshape(-1, 3),
        ]
    )
    around = np.arange(count)
    bottom, top = rings * count, rings * count + 1
    last = (rings - 1) * count
    lower = np.stack([np.full(count, bottom), (around + 1) % count, around], -1)
    upper = np.stack([np.full(count, top), last + around, last + (around + 1) % count], -1)
    return np.concatenate([ring_points, caps]), np.concatenate([sides, lower, upper])


def material_paths(leg: Leg, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Path lengths through each material, and which bones each pixel's ray meets.

    Returns:
        ``[4, rows, columns]`` float32 mm (cortical, trabecular, muscle, fat), and
        ``[4, rows, columns]`` bool in the order of ``BONES``.
    """
    surfaces = [leg.outer[bone] for bone in BONES] + [leg.inner[bone] for bone in BONES]
    lengths = path_lengths([*surfaces, leg.muscle, leg.skin], view)
    outer, inner = lengths[:4], lengths[4:8].sum(0)
    muscle, skin = lengths[8:]
    bone = outer.sum(0)
    paths = np.stack([bone - inner, inner, muscle - bone, skin - muscle])
    # Where a bone's inner surface folds over itself, or a bone leaves the muscle or the skin, a
    # path would come out negative.
    return np.maximum(paths, 0.0), outer > 0.05
