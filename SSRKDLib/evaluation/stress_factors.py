"""What can differ from one radiograph of a knee to the next, one factor at a time.

A :class:`Scene` is everything that a pair of radiographs depends on. Its defaults are the middle of
what occurs; each of :data:`FACTORS` changes one thing of it, to the ends of what occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SSRKDLib.core.rigid import turn_about
from SSRKDLib.evaluation.held_out_people import exposed, projector
from SSRKDLib.geometry.centred_views import view_from_angles
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.simulation.leg_motion import flexed, moved_bones
from SSRKDLib.simulation.soft_tissue import SoftTissue
from SSRKDLib.simulation.voxel_phantom import Skeleton, simulate_view, voxel_knee
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh

Finish = Callable[[np.ndarray, View], np.ndarray]


@dataclass(frozen=True)
class Scene:
    """One knee and how it is taken. Lengths in mm, angles in degrees.

    Attributes:
        bones: a left knee, LPS, upright, its joint at the origin.
        flexion: how much more it is bent, in both views.
        stretch: of the bones about the joint, along x, y and z; ``patella`` of the patella alone
            about its own middle.
        turn: of the leg about its own axis, and its tilt to the side and forwards.
        offset: of the joint from where the central rays meet, along x, y and z.
        angle: between the views.
        distances: source to detector and source to isocentre.
        pixels: of the square detector, per edge, and the detector's edge at the isocentre.
        skeleton, soft, energy: see :func:`~SSRKDLib.simulation.voxel_phantom.voxel_knee`.
        detector: arguments of :func:`~SSRKDLib.simulation.voxel_phantom.simulate_view`.
        finish: what becomes of each image (line integrals, ``[rows, columns]``) afterwards.
        simulator: see :func:`~SSRKDLib.evaluation.held_out_people.projector`.
        seed: of tissue and noise.
    """

    bones: Mapping[str, Mesh]
    flexion: float = 0.0
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    patella: tuple[float, float, float] = (1.0, 1.0, 1.0)
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    offset: tuple[float, float, float] = (15.0, -10.0, 20.0)
    angle: float = 90.0
    distances: tuple[float, float] = (1200.0, 900.0)
    pixels: tuple[int, float] = (256, 225.0)
    skeleton: Skeleton = Skeleton(1.1, 4.7, 0.9, 0.15, 0.015, 0.22, 0.25, 0.27)
    soft: SoftTissue = SoftTissue(18, 0.24, 0.0, 7, 9, 0.035, 8, 1.8, 7, 11, 1.6, 0.012)
    energy: float = 60.0
    detector: Mapping[str, float] = field(default_factory=dict)
    finish: Finish | None = None
    simulator: str = "voxel"
    seed: int = 0

    def rig(self) -> Rig:
        """Frontal from in front, lateral from the patient's left."""
        count, edge = self.pixels
        sdd, sod = self.distances
        spacing = edge * sdd / sod / count
        views = [
            view_from_angles(name, azimuth, sdd, sod, (count, count), (spacing, spacing))
            for name, azimuth in (("frontal", 0.0), ("lateral", self.angle))
        ]
        return Rig(views=tuple(views), laterality="L")

    def placed(self) -> dict[str, Mesh]:
        """The true bones in the rig's frame."""
        bones = dict(self.bones)
        middle = bones["patella"].vertices.mean(axis=0)
        bones["patella"] = bones["patella"].transformed(_stretched(self.patella, middle))
        bones = {
            bone: mesh.transformed(_stretched(self.stretch, np.zeros(3)))
            for bone, mesh in bones.items()
        }
        if self.flexion:
            bones = moved_bones(bones, flexed(bones, self.flexion))
        # Intrinsic: about the leg's own axis last, so that the tilts are the patient's.
        rotation = Rotation.from_euler("YXZ", [*self.turn[1:], self.turn[0]], degrees=True)
        move = turn_about(rotation.as_matrix(), joint_centre(bones), -joint_centre(bones))
        move[:3, 3] += self.offset
        return {bone: mesh.transformed(move) for bone, mesh in bones.items()}

    def exposures(self) -> list[Exposure]:
        """The radiographs, one per view of :meth:`rig`."""
        rng = np.random.default_rng(self.seed)
        take = self.projector(rng, rng)
        return [exposed(view, take(view)) for view in self.rig().views]

    def projector(
        self, tissue: np.random.Generator, noise: np.random.Generator
    ) -> Callable[[View], np.ndarray]:
        """Radiographs by view, see :func:`~SSRKDLib.evaluation.held_out_people.projector`."""
        bones = self.placed()
        if self.simulator == "voxel":
            volume = voxel_knee(
                bones, tissue, energy=self.energy, skeleton=self.skeleton, soft=self.soft
            )

            def plain(view: View) -> np.ndarray:
                return simulate_view(volume, view, noise, **self.detector)

        else:
            plain = projector(bones, self.simulator, tissue, noise)
        finish = self.finish or (lambda image, view: image)
        return lambda view: finish(plain(view), view).astype(np.float32)


def _stretched(factors: tuple[float, float, float], centre: np.ndarray) -> np.ndarray:
    matrix = np.diag([*factors, 1.0])
    matrix[:3, 3] = centre * (1 - np.asarray(factors))
    return matrix


@dataclass(frozen=True)
class Factor:
    """One thing that differs: ``values`` in ``unit``, and what a value makes of a scene."""

    name: str
    unit: str
    values: tuple[float, ...]
    change: Callable[[Scene, float], Scene]


def _entry(name: str, place: int) -> Callable[[Scene, float], Scene]:
    """Replace one entry of a tuple among the scene's attributes."""

    def change(scene: Scene, value: float) -> Scene:
        entries = list(getattr(scene, name))
        entries[place] = value
        return replace(scene, **{name: tuple(entries)})

    return change


def _tissue(name: str, **parts: float) -> Callable[[Scene, float], Scene]:
    """Set attributes of skeleton or soft tissue to ``value`` times these."""

    def change(scene: Scene, value: float) -> Scene:
        of = getattr(scene, name)
        return replace(scene, **{name: replace(of, **{k: v * value for k, v in parts.items()})})

    return change


def _detector(name: str) -> Callable[[Scene, float], Scene]:
    return lambda scene, value: replace(scene, detector={**scene.detector, name: value})


def _finish(
    make: Callable[[np.ndarray, View, Scene, float], np.ndarray],
) -> Callable[[Scene, float], Scene]:
    return lambda scene, value: replace(
        scene, finish=lambda image, view: make(image, view, scene, value)
    )


def _pixel_mm(view: View) -> float:
    """The pixel's edge at the origin, mm."""
    return view.pixel_size(float(view.depths(np.zeros(3))))[0]


def _top(image: np.ndarray) -> float:
    """The line integral of what hardly lets anything through."""
    return float(np.percentile(image, 99.9))


def _gamma(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    return np.clip(image / _top(image), 0, None) ** value


def _sharpened(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    return image + value * (image - ndimage.gaussian_filter(image, 3.0 / _pixel_mm(view)))


def _clipped(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    return np.clip(image, 0, np.quantile(image, 1 - value))


def _collimated(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    """Blades that leave ``value`` of the image's width, around the joint's place."""
    column = view.project(np.asarray(scene.offset))[0]
    away = np.abs(np.arange(image.shape[1]) - column)
    dark = np.clip(away - value * image.shape[1] / 2 + 0.5, 0, 1)
    return image + 4.0 * dark[None]


def _padded(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    """A black rim of ``value`` of the image's edge that nothing declares."""
    rim = round(value * len(image))
    result = np.zeros_like(image)
    result[rim : len(image) - rim, rim : image.shape[1] - rim] = image[
        rim : len(image) - rim, rim : image.shape[1] - rim
    ]
    return result


def _letter(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    """A lead letter L, ``value`` mm high, beside the knee, partly over the skin."""
    column, row = view.project(np.asarray(scene.offset) + [35.0, 0.0, 0.0])
    if view.name == "lateral":
        column, row = view.project(np.asarray(scene.offset) + [0.0, 40.0, 0.0])
    size, stroke = value / _pixel_mm(view), max(2.0, 0.15 * value / _pixel_mm(view))
    down = np.arange(image.shape[0])[:, None] - (row - size / 2)
    across = np.arange(image.shape[1])[None] - column
    inside = (down >= 0) & (down < size) & (across >= 0) & (across < 0.6 * size)
    return image + 4.0 * (inside & ((across < stroke) | (down > size - stroke)))


def _cast(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    """A cast of ``value`` mm of plaster (0.04 per mm) around the leg, seen edge-on at its sides."""
    skin = image > 0.15
    depth = ndimage.distance_transform_edt(~skin) * _pixel_mm(view)
    edge = (depth > 0) & (depth < value)
    grain = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(image.shape), 2)
    ring = np.where(edge, np.sqrt(np.clip(value * 30.0, 0, None)), value)
    return image + 0.04 * ring * 2 * (skin | edge) * (1 + 0.2 * grain / grain.std())


def _table(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    """A table's or sponge's edge across the image, ``value`` line integrals strong."""
    rows, columns = np.indices(image.shape)
    return image + value * (rows + 0.35 * columns > 0.75 * len(image))


def _nail(image: np.ndarray, view: View, scene: Scene, value: float) -> np.ndarray:
    """A steel nail ``value`` mm thick in the tibia's shaft, from 45 mm below the joint."""
    tibia = scene.placed()["tibia"].vertices
    low = scene.offset[2]
    ends = [tibia[np.abs(tibia[:, 2] - (low - depth)) < 6].mean(axis=0) for depth in (45.0, 110.0)]
    start, end = (view.project(point) for point in ends)
    rows, columns = np.indices(image.shape)
    along = (end - start) / np.linalg.norm(end - start)
    offsets = np.stack([columns - start[0], rows - start[1]], axis=-1)
    down = offsets @ along
    across = np.abs(offsets @ [-along[1], along[0]]) * _pixel_mm(view)
    chord = np.sqrt(np.clip((value / 2) ** 2 - across**2, 0, None)) * 2
    return image + 0.8 * chord * (down > 0)


FACTORS: tuple[Factor, ...] = (
    Factor("size", "", (0.8, 1.2), lambda s, v: replace(s, stretch=(v, v, v))),
    Factor("width of the knee", "", (0.92, 1.08), _entry("stretch", 0)),
    Factor("thickness of the patella", "", (0.85, 1.15), _entry("patella", 1)),
    Factor("height of the patella", "", (0.85, 1.15), _entry("patella", 2)),
    Factor("flexion", "degrees", (20.0, 40.0, 60.0), lambda s, v: replace(s, flexion=v)),
    Factor("turn of the leg", "degrees", (-15.0, 15.0), _entry("turn", 0)),
    Factor("tilt to the side", "degrees", (-8.0, 8.0), _entry("turn", 1)),
    Factor("tilt forwards", "degrees", (-8.0, 8.0), _entry("turn", 2)),
    Factor("joint in front or behind", "mm", (-50.0, 40.0), _entry("offset", 1)),
    Factor("joint above or below", "mm", (-30.0, 50.0), _entry("offset", 2)),
    Factor("angle between views", "degrees", (60.0, 120.0), lambda s, v: replace(s, angle=v)),
    Factor("source to isocentre", "mm", (800.0, 1120.0), _entry("distances", 1)),
    Factor("pixels per edge", "", (128.0, 1024.0), lambda s, v: replace(s, pixels=(int(v), 225.0))),
    Factor("detector's edge at the knee", "mm", (170.0, 300.0), _entry("pixels", 1)),
    Factor("photons", "", (2e3, 2e5), _detector("photons")),
    Factor("scatter", "", (0.0, 0.5), _detector("scatter_fraction")),
    Factor("blur", "pixels", (0.0, 1.5), _detector("blur_px")),
    Factor("energy", "keV", (45.0, 78.0), lambda s, v: replace(s, energy=v)),
    Factor("soft tissue", "", (0.5, 2.0), _tissue("soft", around=18, fat=8, cover=7)),
    Factor("tissue over bone", "mm", (2.0, 9.0), _tissue("soft", cover=1)),
    Factor("bone density", "", (0.75, 1.15), _tissue("skeleton", mineral=0.9, trabecular=0.15)),
    Factor("cortex", "", (0.5, 1.4), _tissue("skeleton", cortex_joint=1.1, cortex_shaft=4.7)),
    Factor("gain", "", (0.4, 2.5), _finish(lambda image, view, scene, value: value * image)),
    Factor("gamma", "", (0.5, 2.0), _finish(_gamma)),
    Factor("edge enhancement", "", (1.0, 2.5), _finish(_sharpened)),
    Factor("exposure clipped", "share", (0.05, 0.15), _finish(_clipped)),
    Factor("collimated to", "share", (0.85, 0.65), _finish(_collimated)),
    Factor("undeclared black rim", "share", (0.03, 0.1), _finish(_padded)),
    Factor("letter", "mm", (12.0, 30.0), _finish(_letter)),
    Factor("cast", "mm", (3.0, 8.0), _finish(_cast)),
    Factor("table's edge", "", (0.2, 0.8), _finish(_table)),
    Factor("nail in the tibia", "mm", (8.0, 12.0), _finish(_nail)),
)  # fmt: skip
"""In the order of the table; "share" is of the image or its pixels."""
