"""A cohort of virtual knees on disk, made once and learned from many times.

A knee is stored as path lengths through each material on two virtual detectors, not as finished
radiographs: exposure, spectrum, scatter, noise and framing are drawn anew whenever it is used
(:mod:`SSRKDLib.training.data.virtual_dataset`). Knee ``i`` of seed ``s`` is the same on every
machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SSRKDLib.geometry.centred_views import view_from_angles
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation.population import shape_model
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.simulation.signed_distances import field_samples
from SSRKDLib.simulation.surface_phantom import material_paths, random_leg

#: Stored detectors: square, this many pixels of this many mm at the joint.
STORED_PIXELS, STORED_PIXEL_MM = 320, 1.0

#: Half edge of the box that field samples come from, mm.
FIELD_REACH_MM = 104.0


@dataclass(frozen=True)
class StoredKnee:
    """One knee, in its canonical frame.

    Attributes:
        paths: ``[2, 4, rows, columns]`` float16 mm (views; materials of ``tissue.MATERIALS``).
        bones: ``[2, rows, columns]`` uint8, bit k set where the ray meets ``BONES[k]``.
        views: ``[2, 12]`` source, detector origin, column and row direction.
        pixel_spacing: ``[2]`` mm on each detector.
        points: ``[P, 3]`` float16 mm.
        distances: ``[P, 4]`` float16 mm, positive inside.
    """

    paths: np.ndarray
    bones: np.ndarray
    views: np.ndarray
    pixel_spacing: np.ndarray
    points: np.ndarray
    distances: np.ndarray

    def view(self, index: int) -> View:
        source, origin, column, row = self.views[index].reshape(4, 3)
        rows, columns = self.bones.shape[1:]
        return View(
            name=("frontal", "lateral")[index],
            source=source,
            detector_origin=origin,
            column_direction=column,
            row_direction=row,
            pixel_spacing=(float(self.pixel_spacing[index]),) * 2,
            size=(columns, rows),
        )


def random_views(rng: np.random.Generator) -> tuple[View, View]:
    """A frontal and a lateral view of a knee in its canonical frame.

    Source-to-detector distances 900 to 2000 mm, magnification 1.05 to 1.6, angle between the views
    45 to 135 degrees with most near 90, the pair turned about the leg by 25 degrees and sometimes
    more, sources above or below the joint, and the joint away from the middle of the detector.
    """
    distance, magnification = rng.uniform(900, 2000, 2), rng.uniform(1.05, 1.6, 2)
    between = rng.normal(90, 4) if rng.random() < 0.6 else rng.uniform(45, 135)
    turn = rng.uniform(-28, 28) if rng.random() < 0.75 else rng.uniform(-50, 50)
    # Half of what two views differ from 90 degrees by goes to each, and the whole pair turns.
    azimuths = turn + np.array([0.5, -0.5]) * (90 - between) + [0.0, 90.0]
    if rng.random() < 0.25:
        azimuths[0] += 180
    if rng.random() < 0.4:
        azimuths[1] += 180
    views = []
    for k, name in enumerate(("frontal", "lateral")):
        spread = 6.0 if rng.random() < 0.7 else 16.0
        elevation = np.clip(rng.normal(0, spread), -32, 32)
        joint = distance[k] / magnification[k]
        spacing = STORED_PIXEL_MM * distance[k] / joint
        # Of the joint on the detector, in millimetres at the joint.
        offset = rng.normal(0, 12 if rng.random() < 0.6 else 32, 2)
        views.append(
            view_from_angles(
                name,
                azimuths[k],
                distance[k],
                joint,
                (STORED_PIXELS,) * 2,
                (spacing,) * 2,
                elevation=elevation,
                shift=offset / STORED_PIXEL_MM * spacing,
                roll=rng.normal(0, 5),
            )
        )
    return views[0], views[1]


def make_knee(seed: int, index: int) -> StoredKnee:
    """Knee ``index`` of the cohort with this seed."""
    rng = np.random.default_rng([seed, index])
    faces = shape_model().faces
    bones = random_knee(rng)
    leg = random_leg(bones, faces, rng)
    views = random_views(rng)
    paths, masks = zip(*(material_paths(leg, view) for view in views))
    bits = (np.stack(masks) * np.array([1, 2, 4, 8], np.uint8)[:, None, None]).sum(1)
    points, distances = field_samples(
        bones, faces, rng, per_bone=4000, anywhere=5000, reach=FIELD_REACH_MM
    )
    order = rng.permutation(len(points))
    return StoredKnee(
        paths=np.stack(paths).astype(np.float16),
        bones=bits.astype(np.uint8),
        views=np.stack(
            [
                np.concatenate([v.source, v.detector_origin, v.column_direction, v.row_direction])
                for v in views
            ]
        ),
        pixel_spacing=np.array([v.pixel_spacing[0] for v in views]),
        points=points[order],
        distances=distances[order],
    )


def knee_path(folder: Path, index: int) -> Path:
    return folder / f"{index // 1000:03d}" / f"{index:06d}.npz"


def write_knee(folder: Path, seed: int, index: int) -> None:
    """Make one knee, unless it is there. Safe to interrupt, and for several processes at once."""
    path = knee_path(folder, index)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as stream:
        np.savez(stream, **vars(make_knee(seed, index)))
    unfinished.replace(path)


def read_knee(folder: Path, seed: int, index: int) -> StoredKnee:
    """Knee ``index`` of the cohort, made first if it is not there yet."""
    write_knee(folder, seed, index)
    with np.load(knee_path(folder, index)) as data:
        return StoredKnee(**{key: data[key] for key in data.files})
