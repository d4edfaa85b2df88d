"""Pairs of radiographs between which the leg moved: how good shapes, poses and the judgement are.

Every bone has one shape and, in each view, a pose. They are measured apart:

- ``shape``: ASSD, and ``hd``: largest distance, after the bone's own rigid alignment, of the part
  that lies in the region in the first view;
- ``position``, per view: ASSD as the bones come, against the truth as it lay in that view;
- ``joint``, per view: the same after all bones were moved by the femur's alignment, so shape and
  pose relative to the femur;
- flexion: how far the angle between femur and tibia is off, between the views and in each.

All within 80 mm of the joint as it lay in the view, mm and degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.rigid import rigid_fit
from SSRKDLib.evaluation.held_out_people import OFF_ORIGIN, Person, exposed, projector
from SSRKDLib.evaluation.icp import Surface, approach, refine
from SSRKDLib.evaluation.metrics import assd, hausdorff, surface_distances
from SSRKDLib.evaluation.regions import region_around
from SSRKDLib.evaluation.stress_factors import FACTORS, Factor, Scene
from SSRKDLib.geometry.views import Rig
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.choices import VIEW_NAMES
from SSRKDLib.reconstruction.radiographs import Reconstruction
from SSRKDLib.simulation.leg_motion import (
    Motions,
    leg_motion,
    moved_bones,
    relative_flexion,
    transepicondylar_axis,
)
from SSRKDLib.simulation.population import shape_model
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.surfaces.distance import point_distances
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import sample_surface

#: Motions of held-out people: degrees of flexion, of the whole leg's turn, mm of its shift.
MOTIONS = {
    "rigid": None,
    "flexion 10": (10.0, 5.0, 10.0),
    "flexion 20": (20.0, 5.0, 10.0),
    "flexion 30": (30.0, 5.0, 10.0),
}

#: The smallest motion of virtual people.
_SMALL = (2.0, 2.0, 3.0)

#: What differs in the radiographs of every second virtual person where that is asked for: each end
#: of each in turn.
_STRESSES = (
    "gain", "gamma", "soft tissue", "photons", "scatter", "blur", "energy", "bone density",
    "edge enhancement", "exposure clipped",
)  # fmt: skip

#: Points per surface: for shapes, and for the mean distances of poses.
_SAMPLES, _FEW = 8000, 2500

#: What is measured of each bone.
MEASURES = (
    "shape",
    "hd",
    *(f"{what} {view}" for what in ("position", "joint") for view in VIEW_NAMES),
)


@dataclass(frozen=True)
class Pair:
    """A person and a motion: ``bones`` as they lie in the first view, ``motions`` to the second.

    ``motions`` is None where nothing moved; ``stress`` changes how the radiographs are taken.
    """

    person: Person
    motion: str
    motions: Motions | None
    stress: Callable[[Scene], Scene] | None = None

    @property
    def name(self) -> str:
        """What the pair is called in tables: no two are called the same."""
        return f"{self.person.name} {self.motion}"

    def bones(self, view: int) -> dict[str, Mesh]:
        """The true bones as they lie in a view."""
        still = view == 0 or self.motions is None
        return self.person.bones if still else moved_bones(self.person.bones, self.motions)

    def exposures(self, rig: Rig, simulator: str) -> list[Exposure]:
        """Both radiographs; the leg's tissue is the same in both."""
        seed = sum(map(ord, self.person.name))
        taken = []
        for index, view in enumerate(rig.views):
            rngs = (np.random.default_rng(seed), np.random.default_rng([seed, index]))
            bones = self.bones(index)
            if self.stress is None:
                take = projector(bones, simulator, *rngs)
            else:
                here = tuple(joint_centre(bones))
                take = self.stress(Scene(bones, offset=here, simulator=simulator)).projector(*rngs)
            taken.append(exposed(view, take(view)))
        return taken


def held_out_pairs(people: list[Person]) -> Iterator[Pair]:
    """Each person with each of :data:`MOTIONS`."""
    for person in people:
        rng = np.random.default_rng(sum(map(ord, person.name)))
        for name, amounts in MOTIONS.items():
            moves = (
                None if amounts is None else leg_motion(person.bones, amounts[0], rng, *amounts[1:])
            )
            yield Pair(person, name, moves)


def virtual_pairs(count: int, seed: int = 0, stressed: bool = False) -> Iterator[Pair]:
    """``count`` pairs of random knees, nearly straight in the first view: each knee once as it is
    and once moved, by turns slightly and by 5 to 30 degrees. ``stressed``: every second two knees
    are taken with one of :data:`_STRESSES` at an end of what occurs."""
    stresses = [(f, value) for f in FACTORS if f.name in _STRESSES for value in f.values]
    faces = shape_model().faces
    for index in range(count):
        rng = np.random.default_rng([seed, index // 2])
        points = random_knee(rng, flexion=float(np.clip(rng.normal(3, 5), -8, 20)))
        bones = {bone: Mesh(points[bone] + OFF_ORIGIN, faces[bone]) for bone in BONES}
        name, group, stress = f"virtual-{seed}-{index // 2}", "virtual", None
        if stressed and index % 8 >= 4:
            factor, value = stresses[(index // 8 * 2 + index // 2 % 2) % len(stresses)]
            name, group = f"{name}, {factor.name} {value:g}", "virtual, stressed"
            stress = partial(_changed, factor, value)
        person = Person(group, name, bones)
        if index % 2 == 0:
            yield Pair(person, "rigid", None, stress)
            continue
        small = index % 4 == 1
        amounts = _SMALL if small else (rng.uniform(5, 30), rng.uniform(2, 6), rng.uniform(3, 12))
        moves = leg_motion(bones, amounts[0], rng, *amounts[1:])
        yield Pair(person, "moved slightly" if small else "moved", moves, stress)


def _changed(factor: Factor, value: float, scene: Scene) -> Scene:
    return factor.change(scene, value)


def measure(pair: Pair, result: Reconstruction) -> dict:
    """One row (see the module's text): ``bones`` holds :data:`MEASURES` of each, None for a bone
    that was not found; ``flexion`` what the flexion is off by, degrees, and ``flexion deviation``
    what the program expects it to be off by between the views, None where it says that nothing
    moved; ``called`` rigid or moved, for the three ratios.
    """
    moves = pair.motions or dict.fromkeys(BONES, np.eye(4))
    told = result.report.get("motion") or {}
    row = {
        "pair": pair.name, "group": pair.person.group, "person": pair.person.name,
        "motion": pair.motion, "called": "moved" if told.get("moved") else "rigid",
        "ratio": told.get("ratio"), "others ratio": told.get("others_ratio"),
        "field ratio": told.get("field_ratio"),
        "flexion deviation": told.get("flexion_degrees", (None, None))[1],
        "seconds": result.report["seconds"]["total"], "surface": result.surface,
    }  # fmt: skip
    # Of one radiograph there is one pose.
    found = [result.bones_in(view) if view in result.views else result.bones for view in VIEW_NAMES]
    truth = [pair.bones(view) for view in range(len(VIEW_NAMES))]
    regions = [region_around(joint_centre(bones)) for bones in truth]
    # One alignment, in the second view; what moved takes it to the first.
    second = {bone: aligned(mesh, truth[1][bone]) for bone, mesh in found[1].items()}
    own = {bone: rigid_fit(found[0][bone].vertices, found[1][bone].vertices) for bone in second}
    first = {b: np.linalg.inv(moves[b]) @ second[b] @ own[b] for b in second}
    row["bones"] = {bone: _of_bone(bone, found, truth, regions, (first, second)) for bone in BONES}
    row["flexion"] = _flexion_errors(pair, (first, second), own)
    return row


def _of_bone(
    bone: str, found: list, truth: list, regions: list, alignments: tuple[Motions, Motions]
) -> dict[str, float | None]:
    if bone not in found[1]:
        return dict.fromkeys(MEASURES)
    # In the first view shafts lie as straight as they come, so the region shows the same of them
    # whatever moved: of a shank that is bent back it would reach further along the bone.
    shapes = surface_distances(
        found[0][bone].transformed(alignments[0][bone]), truth[0][bone], regions[0], _SAMPLES
    )
    values = {"shape": assd(shapes), "hd": hausdorff(shapes)}
    for view, name in enumerate(VIEW_NAMES):
        mesh, true, box = found[view][bone], truth[view][bone], regions[view]
        values[f"position {name}"] = _mean_distance(mesh, true, box)
        femur = alignments[view].get("femur")
        values[f"joint {name}"] = (
            None if femur is None else _mean_distance(mesh.transformed(femur), true, box)
        )
    return values


def aligned(mesh: Mesh, truth: Mesh) -> np.ndarray:
    """The rigid 4x4 that lays a bone on the truth, from where it is."""
    moving, fixed = {"bone": Surface(mesh)}, {"bone": Surface(truth)}
    return refine(moving, fixed, approach(moving, fixed, np.eye(4), 40))


def _mean_distance(mesh: Mesh, truth: Mesh, box: np.ndarray) -> float | None:
    """As :func:`~SSRKDLib.evaluation.metrics.assd`, of few points; None where there are none."""
    parts = mesh.clipped(box), truth.clipped(box)
    try:
        points = [sample_surface(part, _FEW) for part in parts]
    except MeshError:
        return None
    ways = zip(points, (truth, mesh))
    return float(np.mean([point_distances(there, other).mean() for there, other in ways]))


def _flexion_errors(
    pair: Pair, alignments: tuple[Motions, Motions], own: Motions
) -> dict[str, float] | None:
    """Degrees that the flexion is too large, in each view and ``between`` them."""
    if not {"femur", "tibia"} <= own.keys():
        return None
    axis, _ = transepicondylar_axis(pair.person.bones)
    turned = axis if pair.motions is None else pair.motions["femur"][:3, :3] @ axis
    # What lays the found bones on the true ones undoes the error.
    errors = {
        view: -relative_flexion(alignments[k], (axis, turned)[k])
        for k, view in enumerate(VIEW_NAMES)
    }
    return {**errors, "between": errors["lateral"] - errors["frontal"]}


def summary(rows: list[dict]) -> list[dict]:
    """A line per group and motion: means over people (shape also by bone), the worst bone's shape,
    root mean squares of flexion, the deviation between the views that the program expects of those
    it calls moved, how many these are. NaN where a bone is missing."""
    lines = []
    for group, motion in dict.fromkeys((row["group"], row["motion"]) for row in rows):
        chosen = [row for row in rows if (row["group"], row["motion"]) == (group, motion)]
        line = {"group": group, "motion": motion, "pairs": len(chosen)}
        line["called moved"] = sum(row["called"] == "moved" for row in chosen)
        line |= {bone: _mean(chosen, "shape", [bone]) for bone in BONES}
        line |= {key: _mean(chosen, key, BONES) for key in MEASURES}
        line["worst shape"] = max(_values(chosen, "shape", BONES))
        for view in (*VIEW_NAMES, "between"):
            off = [(row["flexion"] or {}).get(view, np.nan) for row in chosen]
            line[f"flexion {view}"] = float(np.sqrt(np.mean(np.square(off))))
        expected = [row["flexion deviation"] for row in chosen if row.get("flexion deviation")]
        line["expected"] = float(np.mean(expected)) if expected else None
        line["seconds"] = float(np.mean([row["seconds"] for row in chosen]))
        lines.append(line)
    return lines


def wrong_calls(rows: list[dict]) -> list[dict]:
    """Of virtual pairs those that were called what they are not, and what it costs: mean shape,
    mm, beyond that of the same knee's other pair (None where that was called wrongly too)."""
    right = {row["person"]: row for row in rows if row["called"] == _kind(row)}
    wrong = []
    for row in rows:
        if row["called"] != _kind(row):
            other = right.get(row["person"])
            cost = None
            if other is not None:
                cost = _mean([row], "shape", BONES) - _mean([other], "shape", BONES)
            wrong.append({"pair": row["pair"], "called": row["called"], "cost": cost})
    return wrong


def _kind(row: Mapping) -> str:
    return "rigid" if row["motion"] == "rigid" else "moved"


def _values(rows: list[dict], key: str, bones) -> list[float]:
    values = [row["bones"][bone][key] for row in rows for bone in bones]
    return [np.nan if value is None else value for value in values]


def _mean(rows: list[dict], key: str, bones) -> float:
    return float(np.mean(_values(rows, key, bones)))
