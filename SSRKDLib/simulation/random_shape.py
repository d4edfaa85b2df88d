"""Random knees: shape, size and the pose of each bone.

Everything happens in the canonical frame of :mod:`SSRKDLib.simulation.population` (a left knee,
mm).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from SSRKDLib.simulation.bone_details import bent_end, with_osteophytes
from SSRKDLib.simulation.population import ShapeModel, canonical_frame, shape_model
from SSRKDLib.surfaces.mesh import Mesh

#: Centre of the circle that the mean knee's posterior condyles describe seen from the side, in the
#: (y, z) plane: the axis about which the tibia flexes (Iwaki et al., J Bone Joint Surg Br 82(8),
#: 2000, call it the flexion facet centre).
FLEXION_CENTRE = np.array([0.0, 11.0, 22.0])

#: Standard deviations of each bone's size along x, y and z against the rest of the knee. Condyles
#: of one depth differ in width, between women and men and within either (Lonner et al., Clin
#: Orthop Relat Res 466(11), 2008); patellae vary most (Baldwin and House, J Arthroplasty 20(2),
#: 2005).
SCALE_SD = {
    "patella": (0.08, 0.09, 0.08),
    "femur": (0.04, 0.04, 0.025),
    "fibula": (0.07, 0.07, 0.03),
    "tibia": (0.04, 0.04, 0.025),
}

Bones = dict[str, np.ndarray]


def random_knee(rng: np.random.Generator, flexion: float | None = None) -> Bones:
    """One virtual knee: ``[N, 3]`` mm per bone, in its own canonical frame; bent by ``flexion``
    degrees, at random where that is None."""
    model = shape_model()
    bones = model.split(random_shape(model, rng))
    bones = random_pose(bones, model.faces, rng, flexion)
    frame = canonical_frame(bones)
    return {bone: (points - frame[:3, 3]) @ frame[:3, :3] for bone, points in bones.items()}


def random_shape(model: ShapeModel, rng: np.random.Generator) -> np.ndarray:
    """``[V, 3]`` mm: modes, a smooth displacement that no mode contains, and size.

    Deviations are drawn 1.3 times as wide as in the 20 people, since 20 people do not span a
    population; sizes run from adolescents to very large adults. Each bone is scaled by direction
    (:data:`SCALE_SD`), joint surfaces and shafts are tilted against each other
    (:func:`~SSRKDLib.simulation.bone_details.bent_end`), and two knees in five have osteophytes.
    """
    weights = rng.standard_normal(len(model.deviations)) * model.deviations * 1.3
    points = model.mean + np.tensordot(weights, model.modes, 1)
    points = points + smooth_displacement(points, rng, 45.0, rng.uniform(0.3, 1.8))
    worn = rng.random() < 0.4
    for bone, rows in model.slices.items():
        # Bone by bone at a finer scale, so that neighbours do not always move together.
        part = points[rows]
        amplitude = rng.uniform(0.1, 0.9)
        centre = part[np.abs(part[:, 2]) < 60].mean(0)
        part = part + smooth_displacement(part, rng, 22.0, amplitude)
        part = centre + (part - centre) * rng.normal(1, SCALE_SD[bone])
        if bone != "patella":
            part = bent_end(part, bone, rng)
        if worn:
            part = with_osteophytes(part, model.faces[bone], rng)
        points[rows] = part
    return points * rng.uniform(0.77, 1.20)


def smooth_displacement(
    points: np.ndarray, rng: np.random.Generator, pitch: float, amplitude: float
) -> np.ndarray:
    """Cubic-spline noise at ``points`` ``[N, 3]``: knots every ``pitch`` mm, rms about
    ``amplitude`` mm; constant beyond 150 mm of the origin, where nothing is looked at."""
    reach = 150.0
    knots = int(np.ceil(2 * reach / pitch)) + 1
    coordinates = (np.clip(points, -reach, reach) + reach).T / pitch
    return np.stack(
        [
            ndimage.map_coordinates(
                rng.standard_normal((knots, knots, knots)), coordinates, order=3, mode="nearest"
            )
            for _ in range(3)
        ],
        axis=1,
    ) * amplitude  # fmt: skip


def random_pose(
    bones: Bones,
    faces: dict[str, np.ndarray],
    rng: np.random.Generator,
    flexion: float | None = None,
) -> Bones:
    """Move the bones against each other as anatomy lets them (see :func:`random_knee`)."""
    size = np.ptp(bones["femur"][bones["femur"][:, 2] < 60][:, 0]) / 80.0
    # Half the knees nearly straight, as radiographs are usually taken; half anywhere up to 60.
    if flexion is None:
        flexion = rng.normal(3, 5) if rng.random() < 0.55 else rng.uniform(0, 60)
    flexion = float(np.clip(flexion, -8, 62))
    centre = FLEXION_CENTRE * size + rng.normal(0, [0, 2, 2])

    def about(points: np.ndarray, pivot: np.ndarray, degrees) -> np.ndarray:
        return Rotation.from_euler("xyz", degrees, degrees=True).apply(points - pivot) + pivot

    # Positive rotation about +x (left) carries the tibia, below the axis, backwards.
    leg = {}
    turn = (flexion, rng.normal(0, 2.5), rng.normal(-0.15 * flexion, 5.0))
    fibula = about(
        bones["fibula"], np.array([25.0, 35.0, -25.0]) * size, rng.normal(0, [2.5, 2.5, 4.0])
    ) + rng.normal(0, [2.0, 3.0, 4.0])
    leg["fibula"] = cleared(fibula, bones["tibia"], faces["tibia"], -2.5, None)
    leg["tibia"] = bones["tibia"]
    shift = rng.normal(0, [2.0, 2.5, 0.0])
    leg = {bone: about(points, centre, turn) + shift for bone, points in leg.items()}

    # The femur stays; shin bones are pushed along the tibia until the joint space is as drawn.
    down = Rotation.from_euler("xyz", turn, degrees=True).apply([0.0, 0.0, -1.0])
    gap = rng.uniform(0.5, 6.0)
    moved = cleared(leg["tibia"], bones["femur"], faces["femur"], gap, down)
    leg["fibula"] = leg["fibula"] + (moved[0] - leg["tibia"][0])
    leg["tibia"] = moved

    patella = bones["patella"]
    middle = patella.mean(0)
    # Tilt and shift sideways, and the height, are wider in one knee of four: patella alta and baja
    # (Insall and Salvati, Radiology 101(1), 1971), lateral tilt beyond 20 degrees and subluxation
    # (Dejour et al., Knee Surg Sports Traumatol Arthrosc 2(1), 1994).
    far = rng.random() < 0.25
    patella = about(patella, middle, rng.normal(0, [6.0, 4.0, 9.0 if far else 5.0]))
    # It rides in the trochlea at about two thirds of the flexion, held at its own height or so.
    patella = about(patella, centre, (rng.normal(0.68, 0.08) * flexion, 0, 0))
    patella = patella + rng.normal(0, [6.0, 1.0, 11.0] if far else [3.5, 1.0, 7.0])
    outwards = patella.mean(0) - centre
    outwards[0] = 0
    patella = cleared(patella, bones["femur"], faces["femur"], rng.uniform(1.0, 6.0), outwards)
    return {"patella": patella, "femur": bones["femur"], **leg}


def cleared(
    points: np.ndarray,
    obstacle: np.ndarray,
    obstacle_faces: np.ndarray,
    clearance: float,
    direction: np.ndarray | None,
) -> np.ndarray:
    """``points`` moved until they are ``clearance`` mm from the obstacle's surface.

    With a ``direction`` they are moved along it, either way, until the nearest point has just that
    clearance; without one they are pushed along the obstacle's normal, only when they are closer.
    """
    tree = cKDTree(obstacle)
    normals = Mesh(obstacle, obstacle_faces).vertex_normals()
    for _ in range(4):
        distance, nearest = tree.query(points, distance_upper_bound=25.0)
        near = np.isfinite(distance)
        if not near.any():
            return points
        away = points[near] - obstacle[nearest[near]]
        signed = (away * normals[nearest[near]]).sum(1)
        # Beside the surface rather than above it, the normal component is too small.
        signed = np.sign(signed) * np.maximum(np.abs(signed), 0.5 * distance[near])
        worst = signed.argmin()
        lack = clearance - signed[worst]
        if direction is None:
            if lack <= 0:
                return points
            # In small steps: the deepest point of a broad contact need not show the shortest way.
            points = points + min(lack, 1.5) * normals[nearest[near][worst]]
        else:
            unit = direction / np.linalg.norm(direction)
            rate = max(0.5, float(unit @ normals[nearest[near][worst]]))
            points = points + np.clip(lack / rate, -12, 12) * unit
    return points
