"""``python -m SSRKDLib plan``: a high tibial osteotomy on the models of a knee."""

from __future__ import annotations

import argparse
from pathlib import Path

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.planning.correction import FEMUR_MM, TARGET_PERCENT, TIBIA_MM, LongLeg
from SSRKDLib.planning.cut import ENTRY, HINGE, KINDS, TUBERCLE, Choices
from SSRKDLib.planning.planner import Correction, Planner, knee_notes


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``plan`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "plan",
        help="a high tibial osteotomy on the models of a knee",
        description=(
            "Cuts the tibia in MODELS (a result of reconstruct, any folder of meshes, or a label "
            "map; tibia and fibula are needed) and turns its lower part into valgus. Writes "
            "OUT/plan.html, plan.json, both parts of the tibia and the wedge as PLY, and cut plane "
            "and hinge as Markups of 3D Slicer."
        ),
    )
    parser.add_argument("models", metavar="MODELS", help="folder of meshes, or label map")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output folder")
    parser.add_argument("--side", choices=("L", "R"), help="the knee's side (default: as MODELS "
                        "say, by report.json or names)")  # fmt: skip
    parser.add_argument(
        "--reference", metavar="TRUTH",
        help="plan on these bones, too, by the same rules, and tell the differences",
    )  # fmt: skip
    how_much = parser.add_argument_group("how much to correct: one of these")
    how_much.add_argument("--angle", type=float, metavar="DEG", help="into valgus")
    how_much.add_argument("--mpta", type=float, metavar="DEG",
                          help="up to this medial proximal tibial angle")  # fmt: skip
    how_much.add_argument("--hka", type=float, metavar="DEG",
                          help="hip-knee-ankle angle of a long-leg radiograph, 180 straight, less "
                          "varus: Miniaci's construction")  # fmt: skip
    how_much.add_argument("--weight-bearing-line", type=float, metavar="PERCENT",
                          help="or where its weight-bearing line crosses the plateaus, from the "
                          "medial side (may be negative)")  # fmt: skip
    leg = parser.add_argument_group("for Miniaci's construction")
    leg.add_argument("--target", type=float, default=TARGET_PERCENT, metavar="PERCENT",
                     help=f"where it shall cross (default: {TARGET_PERCENT:g})")  # fmt: skip
    for bone, end, length in (("femur", "hip", FEMUR_MM), ("tibia", "ankle", TIBIA_MM)):
        leg.add_argument(f"--{bone}-length", type=float, default=length, metavar="MM",
                         help=f"from knee to {end} (default: {length:g})")  # fmt: skip
    where = parser.add_argument_group("where to cut")
    where.add_argument("--kind", choices=KINDS, default="opening",
                       help="medial opening or lateral closing wedge")  # fmt: skip
    where.add_argument("--entry", type=float, metavar="MM",
                       help="below the joint line (default: "
                       f"{ENTRY['opening']:g} opening, {ENTRY['closing']:g} closing)")  # fmt: skip
    where.add_argument("--hinge", type=float, default=HINGE, metavar="MM",
                       help=f"bone left behind the hinge (default: {HINGE:g})")  # fmt: skip
    where.add_argument("--inclination", type=float, metavar="DEG",
                       help="fall of the cut to the back (default: the medial slope)")  # fmt: skip
    where.add_argument("--turn", type=float, default=0.0, metavar="DEG",
                       help="turn the hinge in the cut, its back end to medial")  # fmt: skip
    where.add_argument("--tubercle", type=float, nargs="?", const=TUBERCLE, metavar="MM",
                       help="a second cut leaves a tubercle this thick on the shaft (biplanar; "
                       f"without a number {TUBERCLE:g})")  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace, progress: Progress = no_progress) -> int:
    """Plan, write, and print the numbers."""
    from SSRKDLib.core.output_folder import recover_absent, replaced_folder
    from SSRKDLib.planning.correction import knee_angles
    from SSRKDLib.planning.fragments import fragments
    from SSRKDLib.planning.plan_folder import PLAN, write_plan
    from SSRKDLib.planning.report_page import difference_rows, summary_rows
    from SSRKDLib.planning.same_plan import compare_plans
    from SSRKDLib.reconstruction.result_folder import (
        changed_since,
        check_same_side,
        read_report,
        reported_side,
    )
    from SSRKDLib.surfaces.label_maps import read_reference

    correction, choices = _correction(arguments), _choices(arguments)
    inputs = [path for path in (arguments.models, arguments.reference) if path]
    recover_absent(inputs)
    with replaced_folder(arguments.output, PLAN, inputs) as folder:
        progress("read", 0.0, "Reading the models")
        side = arguments.side or reported_side(read_report(arguments.models))
        models = read_reference(arguments.models, side)
        bones, side = models.meshes, side or models.side
        changed = changed_since(arguments.models)
        planner = Planner(side, correction, choices)
        progress("plan", 0.2, "Planning")
        landmarks, made = planner(bones)
        differences = None
        if arguments.reference:
            check_same_side(arguments.reference, side)
            changed += changed_since(arguments.reference)
            reference = read_reference(arguments.reference, side).meshes
            progress("compare", 0.4, "Planning on the reference")
            differences, _, _ = compare_plans(bones, reference, planner)
        notes = [*changed, *knee_notes(knee_angles(bones, landmarks)), *_assumed(arguments)]
        progress("cut", 0.8, "Cutting the tibia")
        parts = fragments(bones["tibia"], landmarks, made, arguments.tubercle)
        write_plan(folder, made, landmarks, parts, notes, differences)
    progress("done", 1.0, "Done")
    rows = summary_rows(made)
    if differences is not None:
        rows += [(f"difference: {name}", f"{value} {met}".rstrip())
                 for name, value, met in difference_rows(differences)]  # fmt: skip
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    for sentence in made.warnings:
        print(f"warning: {sentence}")
    for sentence in notes:
        print(f"note: {sentence}")
    print(Path(arguments.output) / "plan.html")
    return 0


def _correction(arguments: argparse.Namespace) -> Correction:
    leg = None
    if arguments.hka is not None or arguments.weight_bearing_line is not None:
        if arguments.hka is not None and arguments.weight_bearing_line is not None:
            raise InputError("--hka and --weight-bearing-line say the same.", "Give one of them.")
        leg = LongLeg(
            arguments.hka, arguments.weight_bearing_line, arguments.femur_length,
            arguments.tibia_length,
        )  # fmt: skip
    return Correction(arguments.angle, arguments.mpta, leg, arguments.target)


def _choices(arguments: argparse.Namespace) -> Choices:
    tubercle = arguments.tubercle
    if tubercle is not None and not 5.0 <= tubercle <= 30.0:
        raise InputError(
            f"A tubercle {tubercle:g} mm thick cannot be cut; 5 to 30 mm are expected.",
            "Choose another thickness.",
        )
    return Choices(
        arguments.kind, arguments.entry, arguments.hinge, arguments.inclination, arguments.turn
    )


def _assumed(arguments: argparse.Namespace) -> list[str]:
    if arguments.hka is None and arguments.weight_bearing_line is None:
        return []
    return [
        f"Miniaci's construction with {arguments.femur_length:g} mm from knee to hip and "
        f"{arguments.tibia_length:g} mm from knee to ankle."
    ]
