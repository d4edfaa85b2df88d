"""A cohort of virtual knees: on disk, made once and used many times, or made as they are needed.

A knee is stored as path lengths through each material on two virtual detectors, not as finished
radiographs: exposure, spectrum, scatter, noise and framing are drawn anew whenever it is used
(:mod:`SSRKDLib.training.data.virtual_dataset`). Knee ``i`` of seed ``s`` is the same on every
machine.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.input_files import json_or_none
from SSRKDLib.core.output_file import Content, cannot_write, write_file
from SSRKDLib.geometry.centred_views import view_from_angles
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation.population import bone_place, halfway_frame, shape_model
from SSRKDLib.simulation.random_motion import random_motions
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.simulation.signed_distances import field_samples
from SSRKDLib.simulation.surface_phantom import material_paths, moved_leg, random_leg

#: Stored detectors: square, this many pixels of this many mm at the joint.
STORED_PIXELS, STORED_PIXEL_MM = 320, 1.0

#: Raised whenever shapes, tissue, views or points of the same seed come out differently.
SIMULATOR_VERSION = 2

#: What a stored knee's origin is: the definition of its joint centre.
CENTRING = "population.canonical_frame"

#: The cohort's fingerprint in its folder.
FINGERPRINT = "cohort.json"

#: Half edge of the box that field samples come from, mm.
FIELD_REACH_MM = 104.0


@dataclass(frozen=True)
class ViewRanges:
    """How the views of a cohort are drawn, lowest and highest.

    Attributes:
        source_to_detector_mm: distance from the source to the detector.
        magnification: of the joint on the detector.
        angle_between_views_degrees: between the two views' axes; most pairs are near 90.
    """

    source_to_detector_mm: tuple[float, float] = (900.0, 2000.0)
    magnification: tuple[float, float] = (1.05, 1.6)
    angle_between_views_degrees: tuple[float, float] = (45.0, 135.0)


@dataclass(frozen=True)
class StoredKnee:
    """One knee, in its canonical frame as it lay in the first view.

    Attributes:
        paths: ``[2, 4, rows, columns]`` float16 mm (views; materials of ``tissue.MATERIALS``).
        bones: ``[2, rows, columns]`` uint8, bit k set where the ray meets ``BONES[k]``.
        views: ``[2, 12]`` source, detector origin, column and row direction.
        pixel_spacing: ``[2]`` mm on each detector.
        points: ``[P, 3]`` float16 mm.
        distances: ``[P, 4]`` float16 mm, positive inside.
        places: ``[4, 4, 4]``, the similarity transform of each of ``BONES`` that carries the mean
            knee's onto this one's (:func:`~SSRKDLib.simulation.population.bone_place`).
        motions: ``[4, 4, 4]``, the rigid transform that carries each bone to where it lies in the
            second view; identities where the leg did not move.
    """

    paths: np.ndarray
    bones: np.ndarray
    views: np.ndarray
    pixel_spacing: np.ndarray
    points: np.ndarray
    distances: np.ndarray
    places: np.ndarray
    motions: np.ndarray

    @property
    def moved(self) -> bool:
        """Whether the leg moved between the exposures."""
        return bool((self.motions != np.eye(4)).any())

    def place(self, bone: int, view: int) -> np.ndarray:
        """A bone's similarity transform from the mean knee as it lies in a view, 4x4."""
        return self.motions[bone] @ self.places[bone] if view else self.places[bone]

    def frame(self, view: int) -> np.ndarray:
        """The knee's canonical frame as it lies in a view, rigid 4x4."""
        return halfway_frame(*(self.place(BONES.index(bone), view) for bone in ("femur", "tibia")))

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


def random_views(rng: np.random.Generator, ranges: ViewRanges = ViewRanges()) -> tuple[View, View]:
    """A frontal and a lateral view of a knee in its canonical frame.

    Besides what ``ranges`` says, the pair is turned about the leg by 25 degrees and sometimes more,
    sources are above or below the joint, and the joint is away from the middle of the detector.
    """
    distance = rng.uniform(*ranges.source_to_detector_mm, 2)
    magnification = rng.uniform(*ranges.magnification, 2)
    evenly = rng.random() >= 0.6
    between = rng.uniform(*ranges.angle_between_views_degrees) if evenly else rng.normal(90, 4)
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


def make_knee(seed: int, index: int, ranges: ViewRanges = ViewRanges()) -> StoredKnee:
    """Knee ``index`` of the cohort with this seed and these views."""
    rng = np.random.default_rng([seed, index])
    faces = shape_model().faces
    bones = random_knee(rng)
    leg = random_leg(bones, faces, rng)
    views = random_views(rng, ranges)
    motions = random_motions(bones, faces, rng)
    legs = (leg, leg if motions is None else moved_leg(leg, motions, rng))
    paths, masks = zip(*(material_paths(leg, view) for leg, view in zip(legs, views)))
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
        places=np.stack([bone_place(bones, bone) for bone in BONES]),
        motions=np.stack([np.eye(4) if motions is None else motions[bone] for bone in BONES]),
    )


@dataclass(frozen=True)
class VirtualCohort:
    """The knees of a seed.

    Attributes:
        seed: of the knees.
        folder: where they are kept, 2.4 MB each; None keeps none.
        ranges: how their views are drawn.
    """

    seed: int
    folder: Path | None = None
    ranges: ViewRanges = ViewRanges()

    @property
    def fingerprint(self) -> dict:
        """What the knees depend on."""
        described = {
            "seed": self.seed,
            "simulator": SIMULATOR_VERSION,
            "centring": CENTRING,
            "pixels": STORED_PIXELS,
            "pixel_mm": STORED_PIXEL_MM,
            "views": asdict(self.ranges),
        }
        return json.loads(json.dumps(described))  # tuples are lists in a file

    def check(self) -> None:
        """Write the fingerprint into a new cohort's folder, and compare it with an old one's.

        Raises:
            InputError: the folder holds knees of another seed, simulator or other views.
            OutputError: the fingerprint cannot be written.
        """
        if self.folder is None:
            return
        path = self.folder / FINGERPRINT
        if not path.exists() and not any(self.folder.glob("[0-9][0-9][0-9]/*.npz")):
            _write(path, json.dumps(self.fingerprint, indent=1).encode() + b"\n")
        found = json_or_none(path)
        wanted = self.fingerprint
        if not isinstance(found, dict) or not found:
            raise self._refusal("does not record how its knees were made")
        for key, value in wanted.items():
            if found.get(key) != value:
                raise self._refusal(f"has knees of another {key} ({found.get(key)}, not {value})")

    def _refusal(self, what: str) -> InputError:
        return InputError(
            f"The cohort '{self.folder}' {what}.",
            "Give another folder, or delete this one: its knees are made again.",
        )

    def path(self, index: int) -> Path:
        """Where a knee is kept."""
        return self.folder / f"{index // 1000:03d}" / f"{index:06d}.npz"

    def write(self, index: int) -> None:
        """Make one knee, unless it is there. Safe to interrupt, and for several processes at once.

        Raises:
            InputError: the folder is another cohort's.
            OutputError: it cannot be written.
        """
        path = self.path(index)
        if not path.exists():
            self.check()
            _write(path, partial(np.savez, **vars(make_knee(self.seed, index, self.ranges))))

    def read(self, index: int) -> StoredKnee:
        """A knee, made first where it is not kept yet."""
        if self.folder is None:
            return make_knee(self.seed, index, self.ranges)
        self.write(index)
        with np.load(self.path(index)) as data:
            return StoredKnee(**{key: data[key] for key in data.files})


def _write(path: Path, content: Content) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    write_file(path, content)
