"""What the clinical measures are, where their definitions come from, and what is usual."""

from __future__ import annotations

from typing import NamedTuple

_PALEY = "Paley, Principles of Deformity Correction, Springer 2002, chapter 1."
_HITT = "Hitt et al., J Bone Joint Surg Am 85 (Suppl 4), 2003, 115-122."

_SLOPE = (
    "Fall to the back of the plane fitted to the {} plateau's articular surface, against the "
    "perpendicular of the tibia's proximal anatomical axis, in the plane through this axis at "
    "right angles to the plateaus' transverse axis; falling to the back is positive."
)
_SLOPE_SOURCE = (
    "Plane and compartments: Hashemi et al., J Bone Joint Surg Am 90, 2008, 2724-2734; axis: "
    "Brazier et al., Rev Chir Orthop 82, 1996, 195-200."
)


class Definition(NamedTuple):
    """A measure: see :class:`~SSRKDLib.clinical.measures.Measure` for ``name`` to ``source``.

    ``usual``: smallest and largest value that healthy adults commonly have, in ``unit``. ``bones``:
    which it is measured from. ``per_mm``: mean absolute error, in ``unit``, per mm that these lie
    from the real ones, after virtual people's reconstructions
    (``Training/calibrate_confidence.py``).
    """

    name: str
    title: str
    unit: str
    definition: str
    source: str
    usual: tuple[float, float]
    bones: tuple[str, ...]
    per_mm: float

    @property
    def of_joint(self) -> bool:
        """Whether it depends on how the bones lie against each other."""
        return len(self.bones) > 1


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "tibial_slope_medial",
        "Posterior tibial slope, medial",
        "deg",
        _SLOPE.format("medial"),
        _SLOPE_SOURCE,
        (0.0, 15.0),
        ("tibia",),
        3.4,
    ),
    Definition(
        "tibial_slope_lateral",
        "Posterior tibial slope, lateral",
        "deg",
        _SLOPE.format("lateral"),
        _SLOPE_SOURCE,
        (-3.0, 13.0),
        ("tibia",),
        3.5,
    ),
    Definition(
        "tibial_plateau_width",
        "Tibial plateau width",
        "mm",
        "Extent of the tibia near its plateaus along their transverse axis, which joins both "
        "plateaus' middles.",
        f"Extent: {_HITT} Axis: after Cobb et al., J Bone Joint Surg Br 90, 2008, 1032-1038.",
        (60.0, 90.0),
        ("tibia",),
        3.2,
    ),
    Definition(
        "femoral_condylar_width",
        "Femoral condylar width",
        "mm",
        "Extent of the distal femur, epicondyles included, parallel to the posterior condylar "
        "line.",
        _HITT,
        (65.0, 95.0),
        ("femur",),
        2.4,
    ),
    Definition(
        "posterior_condylar_angle",
        "Posterior condylar axis to epicondylar axis",
        "deg",
        "Angle between the posterior condylar line, tangent to both condyles from behind, and the "
        "line through the most prominent parts of both epicondyles, seen along the femur's shaft; "
        "positive where the epicondylar line is turned outwards against the condylar one.",
        "Berger et al., Clin Orthop Relat Res 286, 1993, 40-47; epicondyles: Yoshioka et al., "
        "J Bone Joint Surg Am 69, 1987, 873-880.",
        (-1.0, 12.0),
        ("femur",),
        1.8,
    ),
    Definition(
        "joint_line_convergence",
        "Joint line convergence angle",
        "deg",
        "Angle between the tangent to both femoral condyles from below and the line through the "
        "middles of both tibial plateaus, each in its bone's own frontal plane, the planes joined "
        "by the tibiofemoral angle; positive where the joint opens laterally. For an extended "
        "knee, in the pose that the bones are in.",
        _PALEY,
        (-3.0, 5.0),
        ("femur", "tibia"),
        2.6,
    ),
    Definition(
        "caton_deschamps",
        "Patellar height (Caton-Deschamps index)",
        "",
        "Distance from the lower end of the patella's articular surface to the anterosuperior "
        "angle of the tibial plateau, over the length of the articular surface, both as seen along "
        "the posterior condylar line. The ends are where the mean patella's back has turned 30 "
        "degrees towards the apex and 45 towards the base.",
        "Caton et al., Rev Chir Orthop 68, 1982, 317-325.",
        (0.6, 1.3),
        ("patella", "femur", "tibia"),
        0.15,
    ),
    Definition(
        "tibiofemoral_angle",
        "Anatomical tibiofemoral angle",
        "deg",
        "Angle of the tibia's proximal anatomical axis out of the plane at right angles to the "
        "femur's transverse axis, which is the posterior condylar line made perpendicular to the "
        "femur's distal anatomical axis; bending the knee changes nothing. Positive is valgus.",
        "Axes: Moreland et al., J Bone Joint Surg Am 69, 1987, 745-749; angle: Grood and Suntay, "
        "J Biomech Eng 105, 1983, 136-144.",
        (-1.0, 12.0),
        ("femur", "tibia"),
        2.6,
    ),
    Definition(
        "distal_femoral_angle",
        "Anatomical lateral distal femoral angle (aLDFA)",
        "deg",
        "Lateral angle between the femur's distal anatomical axis and the tangent to both condyles "
        "from below, in the femur's frontal plane.",
        _PALEY,
        (76.0, 88.0),
        ("femur",),
        2.4,
    ),
    Definition(
        "proximal_tibial_angle",
        "Medial proximal tibial angle (anatomical, MPTA)",
        "deg",
        "Medial angle between the tibia's proximal anatomical axis and the line through the "
        "middles of both plateaus, in the tibia's frontal plane.",
        _PALEY,
        (82.0, 93.0),
        ("tibia",),
        2.1,
    ),
)
