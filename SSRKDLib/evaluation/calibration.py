"""How right the confidence is: virtual people over good and bad input, and what is learnt of them.

A case is a random knee, its radiographs, and what the program is told of how they were taken. One
row per bone holds what was said (:mod:`SSRKDLib.reconstruction.fitting.confidence`) and what is
true: distances of the delivered vertices from the true surface after the bone was laid on it,
within 80 mm of the joint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.clinical.comparison import compare_measures
from SSRKDLib.clinical.definitions import DEFINITIONS
from SSRKDLib.clinical.measures import measure
from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation.held_out_people import OFF_ORIGIN, RIGS, Person
from SSRKDLib.evaluation.moved_pairs import Pair, aligned
from SSRKDLib.evaluation.regions import region_around
from SSRKDLib.geometry.views import Rig
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.choices import VIEW_NAMES
from SSRKDLib.reconstruction.fitting.confidence import WITHIN, covariates
from SSRKDLib.reconstruction.radiographs import Reconstruction
from SSRKDLib.reconstruction.report import expected_errors
from SSRKDLib.simulation.leg_motion import leg_motion
from SSRKDLib.simulation.population import shape_model
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.surfaces.distance import point_distances
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh

#: What may be wrong with a case, in turn: nothing; motion; a source that is 3 % nearer or farther
#: than told, a lateral turned by 5 degrees (standard deviations); an end that is collimated away.
KINDS = (
    "rigid", "moved", "moved slightly", "distance", "rigid", "moved", "angle", "collimated",
)  # fmt: skip

#: Vertices per bone that a row holds.
_KEPT = 300

#: Pull of the rates to zero, so that few cases do not decide them.
_RIDGE = 0.3


@dataclass(frozen=True)
class Case:
    """A pair of radiographs and what is told of it.

    Attributes:
        kind: one of :data:`KINDS`.
        pair: the true bones.
        rig: how the radiographs are said to have been taken.
        exposures: the radiographs, their views as in ``rig``.
    """

    kind: str
    pair: Pair
    rig: Rig
    exposures: list[Exposure]


def virtual_cases(count: int, seed: int, only: str | None = None) -> Iterator[Case]:
    """Random knees, each another; :data:`KINDS` in turn, rigs at random, left, simulator ``mesh``;
    both radiographs, or only the ``"frontal"`` or the ``"lateral"`` one.

    They are made one by one, when they are asked for.
    """
    faces = shape_model().faces
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        points = random_knee(rng, flexion=float(np.clip(rng.normal(3, 5), -8, 20)))
        bones = {bone: Mesh(points[bone] + OFF_ORIGIN, faces[bone]) for bone in BONES}
        kind = KINDS[index % len(KINDS)]
        motions = None
        if kind == "moved":
            amounts = rng.uniform([5, 2, 3], [30, 6, 12])
            motions = leg_motion(bones, amounts[0], rng, *amounts[1:])
        elif kind == "moved slightly":
            motions = leg_motion(bones, 2.0, rng, 2.0, 3.0)
        pair = Pair(Person("virtual", f"virtual-{seed}-{index}", bones), kind, motions)
        true = RIGS[list(RIGS)[int(rng.integers(len(RIGS)))]](laterality="L")
        told = _told(true, kind, rng)
        taken = pair.exposures(true, "mesh")
        exposures = [
            Exposure(view, one.line_integral, _valid(one.valid, kind, rng))
            for view, one in zip(told.views, taken)
        ]
        if only is not None:
            k = VIEW_NAMES.index(only)
            told, exposures = replace(told, views=told.views[k : k + 1]), exposures[k : k + 1]
        yield Case(kind, pair, told, exposures)


def _told(rig: Rig, kind: str, rng: np.random.Generator) -> Rig:
    views = list(rig.views)
    if kind == "distance":
        views = [replace(view, source=view.source * rng.normal(1, 0.03)) for view in views]
    elif kind == "angle":
        angle = np.radians(rng.normal(0, 5))
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        views[1] = views[1].transformed(turn)
    return replace(rig, views=tuple(views))


def _valid(valid: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind != "collimated":
        return valid
    rows = int(len(valid) * rng.uniform(0.15, 0.3))
    shown = valid.copy()
    shown[slice(rows) if rng.random() < 0.5 else slice(-rows, None)] = False
    return shown


def bone_rows(case: Case, result: Reconstruction) -> list[dict]:
    """A row per fitted bone: ``case``, ``kind``, ``bone``, ``covariates``, ``expected`` (mm), and
    ``within`` and ``off`` (mm, some of the vertices)."""
    rows, report = [], result.report
    true = case.pair.bones(1 if result.pose == "lateral" else 0)
    region = region_around(joint_centre(true))
    for bone, within in result.within_mm.items():
        entry, mesh = report["bones"][bone], result.bones[bone]
        placed = mesh.transformed(aligned(mesh, true[bone])).vertices
        near = np.flatnonzero(((placed > region[0]) & (placed < region[1])).all(axis=1))
        chosen = near[:: max(1, len(near) // _KEPT)]
        told = covariates(
            tuple(entry["agreement"].values()),
            (entry["field_distance_mm"] or {}).get("median"),
            report["outline_distance_mm"],
            report["motion"]["moved"],
        )
        rows.append(
            {
                "case": case.pair.person.name, "kind": case.kind, "bone": bone,
                "covariates": told.tolist(), "expected": entry["expected_error_mm"],
                "within": within[chosen].round(3).tolist(),
                "off": point_distances(placed[chosen], true[bone]).round(3).tolist(),
            }
        )  # fmt: skip
    return rows


def measure_rows(name: str, result: Reconstruction, true: dict[str, Mesh], side: str) -> list[dict]:
    """Clinical measures beside the truth, see
    :func:`~SSRKDLib.clinical.comparison.compare_measures`; ``case`` is the name, ``off`` the mean
    expected error of the bones, mm."""
    errors = expected_errors(result.report)
    found = measure(result.bones, side, errors, result.pose)
    rows = compare_measures(found, measure(true, side, {}))
    for definition, row in zip(DEFINITIONS, rows):
        known = [(errors or {}).get(bone) for bone in definition.bones]
        row |= {"case": name, "off": None if None in known else float(np.mean(known))}
    return rows


@dataclass(frozen=True)
class Calibration:
    """What :mod:`SSRKDLib.reconstruction.fitting.confidence` has as its numbers."""

    constants: dict[str, float]
    rates: np.ndarray
    within: float


def calibrated(rows: Sequence[dict], rates: np.ndarray | None = None) -> Calibration:
    """Learn the numbers of :mod:`SSRKDLib.reconstruction.fitting.confidence`; only the constants
    and how many times nine of ten vertices lie within where the ``rates`` are known."""
    bones = np.array([[row["bone"] == bone for bone in BONES] for row in rows], float)
    told = np.hstack([np.array([row["covariates"] for row in rows]), bones])
    actual = np.array([np.mean(row["off"]) for row in rows])
    pull = _RIDGE * np.eye(told.shape[1])
    pull[-len(BONES) :] = 0.0
    count, found = len(pull) - len(BONES), np.zeros(len(pull))
    learnt = slice(0 if rates is None else count, None)
    if rates is not None:
        found[:count] = rates
    left = np.log(actual) - told @ found
    some = told[:, learnt]
    found[learnt] += np.linalg.solve(some.T @ some + pull[learnt, learnt], some.T @ left)
    expected = np.exp(told @ found)
    lift = np.log(actual.mean() / expected.mean())  # the mean, not the mean of logarithms
    ratios = []
    for row, mm in zip(rows, np.exp(lift) * expected):
        shares = np.array(row["within"]) / (WITHIN * row["expected"])
        ratios.append(np.array(row["off"]) / (mm * shares))
    return Calibration(
        {bone: float(value + lift) for bone, value in zip(BONES, found[-len(BONES) :])},
        found[:count],
        float(np.quantile(np.concatenate(ratios), 0.9)),
    )


def measures_table(rows: Sequence[dict]) -> list[dict]:
    """A line per measure: how many, mean absolute error, mean expected error, share of cases within
    2.5 times the expected one (19 of 20 of normal errors), and error per mm of the bones'."""
    lines = []
    for definition in DEFINITIONS:
        chosen = [r for r in rows if r["measure"] == definition.name and r["error"] is not None]
        off = np.abs([row["error"] for row in chosen])
        said = [row for row in chosen if row["expected_error"] is not None]
        line = {"measure": definition.title, "unit": definition.unit, "cases": len(chosen)}
        line["missing"] = sum(r["measure"] == definition.name for r in rows) - len(chosen)
        line["error"] = float(off.mean()) if len(chosen) else np.nan
        line["bias"] = float(np.mean([row["error"] for row in chosen])) if chosen else np.nan
        if said:
            expected = np.array([row["expected_error"] for row in said])
            known = np.abs([row["error"] for row in said])
            line["expected"] = float(expected.mean())
            line["within 2.5 times"] = float((known <= 2.5 * expected).mean())
            line["per mm"] = float(known.mean() / np.mean([row["off"] for row in said]))
        lines.append(line)
    return lines
