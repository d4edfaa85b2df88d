"""A whole leg of voxels around given bones: the second simulator.

Deliberately of another recipe than the training's, which renders path lengths through surfaces:
here every tissue is a voxel of attenuation, and Joseph's method integrates them. What the default
weights score on these images is therefore a score on a simulator that they were not trained on.

The recipe: bones voxelised with partial volumes; a cortex whose thickness grows from the joint to
the shaft, dense bone under the joint surfaces, trabeculae with texture that thin out towards a
canal of marrow; muscles parted by septa of fat, a layer of fat under the skin, the tendons of
patella and quadriceps, cartilage in the joint, fat pads around it. The outline of the leg is
irregular, follows the bones and reaches past both ends of the volume, as the bones do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.ct.hounsfield import DEFAULT_ENERGY, attenuation
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation import detector
from SSRKDLib.simulation.joseph import Volume
from SSRKDLib.simulation.projector import project_view
from SSRKDLib.simulation.soft_tissue import SoftTissue, fill_soft_tissue, tendons
from SSRKDLib.surfaces.knee import LegFrame, as_arrays, leg_frame
from SSRKDLib.surfaces.voxelise import Box, coverage, lengthened

#: Free space between the skin and the sides of the volume, mm.
_AIR = 6.0


@dataclass(frozen=True)
class Skeleton:
    """How one person's bones are filled. Lengths in mm; shares from 0 to 1.

    Attributes:
        cortex_joint, cortex_shaft: thickness of the cortex at the joint and 110 mm from it, as
            in the femur; the other bones are scaled by :data:`_THICKNESS`.
        mineral: density of cortical bone, as a share of ICRU's.
        trabecular: share of bone in the spongy ends; ``canal`` the same in the shaft.
        subchondral: share of bone added under the joint surfaces.
        red: share of red marrow in the ends (the shaft's is yellow and fibrous).
        texture: relative standard deviation of the trabecular share.
    """

    cortex_joint: float
    cortex_shaft: float
    mineral: float
    trabecular: float
    canal: float
    subchondral: float
    red: float
    texture: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Skeleton:
        """One person's bones at random, from osteoporotic to sclerotic."""
        return cls(
            cortex_joint=rng.uniform(0.7, 1.5),
            cortex_shaft=rng.uniform(3.0, 6.5),
            mineral=rng.uniform(0.8, 1.0),
            trabecular=rng.uniform(0.08, 0.22),
            canal=rng.uniform(0.0, 0.03),
            subchondral=rng.uniform(0.1, 0.35),
            red=rng.uniform(0.0, 0.5),
            texture=rng.uniform(0.15, 0.4),
        )


#: Thickness of each bone's cortex relative to the femur's.
_THICKNESS = {"patella": 1.2, "femur": 1.0, "fibula": 0.55, "tibia": 0.9}


def voxel_knee(
    meshes: Mapping[str, object],
    rng: np.random.Generator,
    spacing: float = 1.0,
    half_extent: float = 175.0,
    *,
    energy: float = DEFAULT_ENERGY,
    skeleton: Skeleton | None = None,
    soft: SoftTissue | None = None,
) -> Volume:
    """A leg around the four bones.

    The grid lies along the leg, not along the world's axes, so that any pose in any frame is
    filled; the affine says where it is. Bones that end inside are drawn out past its ends.

    Args:
        meshes: per bone, (vertices ``[n, 3]`` mm, faces ``[m, 3]``) or an object with these
            attributes; shafts may be cut, open or closed.
        rng: the randomness; the same state gives the same leg.
        spacing: voxel edge, mm.
        half_extent: half the volume's length along the leg, mm, around the joint; its width is
            what the leg needs.
        energy: effective photon energy, keV, 40 to 100.
        skeleton, soft: the person's tissues; drawn at random where not given.

    Returns:
        Attenuation in 1/mm, float32 ``[k, j, i]``, with its affine in the meshes' frame.

    Raises:
        MeshError: a bone is missing or the surfaces do not make a knee.
    """
    skeleton = skeleton or Skeleton.draw(rng)
    soft = soft or SoftTissue.draw(rng)
    arrays = as_arrays(meshes)
    frame = leg_frame(arrays)
    bones = _in_leg_frame(arrays, frame, half_extent)
    origin, shape = _grid(bones, soft, spacing, half_extent)
    shares = {bone: coverage(*bones[bone], origin, spacing, shape) for bone in BONES}
    hard = tendons(bones, origin, spacing, shape)
    for share, box in shares.values():
        hard[box.slices] = np.maximum(hard[box.slices], (share > 0).astype(np.uint8) * 2)
    values = fill_soft_tissue(hard, origin, spacing, soft, energy, rng)
    bone_total = np.zeros(shape, np.float32)
    bone_values = np.zeros(shape, np.float32)
    near = _joint_distances(shares, origin, spacing, shape)
    _fill_cartilage(values, near, energy)
    for bone in BONES:
        share, box = shares[bone]
        fill = _bone(bone, share, box, near, frame, origin, spacing, skeleton, energy, rng)
        bone_values[box.slices] = np.maximum(bone_values[box.slices], fill * (share > 0))
        bone_total[box.slices] = np.maximum(bone_total[box.slices], share)
    values += bone_total * (bone_values - values)
    affine = np.eye(4)
    affine[:3, :3] *= spacing
    affine[:3, 3] = origin
    return Volume(torch.from_numpy(values), frame.to_world @ affine)


def simulate_view(
    volume: Volume,
    view: View,
    rng: np.random.Generator,
    *,
    photons: float = 3e4,
    electronic_sd: float = 5.0,
    scatter_fraction: float = 0.15,
    blur_px: float = 0.4,
    projector: str = "joseph",
) -> np.ndarray:
    """A radiograph of a volume: projected, detected with noise, turned back to line integrals.

    Args:
        volume: attenuation, 1/mm.
        view: where from.
        rng: the noise.
        photons, electronic_sd, scatter_fraction, blur_px: see :func:`detector.detect`.
        projector: see :func:`~SSRKDLib.simulation.projector.project_view`.

    Returns:
        Line integrals with noise, float32 ``[rows, columns]``.
    """
    with torch.no_grad():
        clean = project_view(volume, view, projector).cpu().numpy()
    counts = detector.detect(clean, photons, electronic_sd, rng, scatter_fraction, blur_px)
    return detector.to_line_integral(counts, photons).astype(np.float32)


def _in_leg_frame(
    arrays: dict, frame: LegFrame, half_extent: float
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The bones in the leg's frame, shafts drawn out past the volume's ends."""
    rotation, joint = frame.to_world[:3, :3], frame.to_world[:3, 3]
    bones = {}
    for bone, (vertices, faces) in arrays.items():
        vertices = (vertices - joint) @ rotation
        if bone in frame.axes:
            axis = frame.axes[bone]
            reach = (half_extent + 40) / max(abs(axis[2]), 0.3)
            vertices, faces = lengthened(vertices, faces, axis, reach)
        bones[bone] = vertices, faces
    return bones


def _grid(
    bones: dict, soft: SoftTissue, spacing: float, half_extent: float
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Origin (x, y, z) mm and shape (k, j, i) of a grid that contains the leg's width."""
    points = np.concatenate([vertices for vertices, _ in bones.values()])
    points = points[np.abs(points[:, 2]) < half_extent + 10]
    room = soft.widest + _AIR
    low = np.array([*(points.min(0)[:2] - room), -half_extent])
    high = np.array([*(points.max(0)[:2] + room), half_extent])
    count = np.ceil((high - low) / spacing).astype(int)
    origin = (low + high) / 2 - (count - 1) / 2 * spacing
    return origin, tuple(int(n) for n in count[::-1])


def _joint_distances(
    shares: dict, origin: np.ndarray, spacing: float, shape: tuple[int, int, int]
) -> tuple[Box, dict[str, np.ndarray]]:
    """Distance in mm to femur, tibia and patella within a box around the joint."""
    half = np.array([75.0, 60.0, 65.0])
    low = np.clip(np.floor((-half - origin) / spacing), 0, None).astype(int)
    high = np.clip(np.ceil((half - origin) / spacing), None, np.array(shape[::-1])).astype(int)
    box = Box(tuple(int(n) for n in low[::-1]), tuple(int(n) for n in (high - low)[::-1]))
    distances = {}
    for bone in ("femur", "tibia", "patella"):
        whole = np.zeros(shape, bool)
        share, where = shares[bone]
        whole[where.slices] = share > 0.5
        distances[bone] = ndimage.distance_transform_edt(~whole[box.slices], sampling=spacing)
    return box, distances


def _fill_cartilage(
    values: np.ndarray, near: tuple[Box, dict[str, np.ndarray]], energy: float
) -> None:
    """Cartilage and fluid between femur and tibia and between femur and patella."""
    box, distance = near
    other = np.minimum(distance["tibia"], distance["patella"])
    between = (distance["femur"] < 5) & (other < 5)
    values[box.slices][between] = attenuation("cartilage", energy)


def _bone(
    bone: str,
    share: np.ndarray,
    box: Box,
    near: tuple[Box, dict[str, np.ndarray]],
    frame: LegFrame,
    origin: np.ndarray,
    spacing: float,
    skeleton: Skeleton,
    energy: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Attenuation of one bone's tissue, float32 over its box (meaningful where it has a share)."""
    depth = ndimage.distance_transform_edt(share > 0.5, sampling=spacing).astype(np.float32)
    # The transform measures from voxel centres: the surface is half a voxel nearer, and a little
    # smoothing takes its stairs off.
    depth = ndimage.gaussian_filter(depth, 0.5) - spacing / 2
    towards_shaft = _shaft_share(bone, box, frame, origin, spacing)
    wobble = _noise(share.shape, 12 / spacing, rng) * 0.2
    thickness = skeleton.cortex_joint + towards_shaft * (
        skeleton.cortex_shaft - skeleton.cortex_joint
    )
    thickness = thickness * (1 + wobble) * _THICKNESS[bone]
    cortex = np.clip((thickness - depth) / spacing + 0.5, 0, 1)
    # Trabeculae run along the leg: the texture is longer than it is wide.
    grain = _noise(share.shape, np.array([2.5, 1.1, 1.1]) / spacing, rng)
    spongy = skeleton.trabecular + towards_shaft * (skeleton.canal - skeleton.trabecular)
    spongy = spongy * np.exp(skeleton.texture * grain)
    spongy += skeleton.subchondral * _under_joint(bone, depth, box, near)
    dense = attenuation("cortical_bone", energy) * skeleton.mineral
    yellow, red = attenuation("yellow_marrow", energy), attenuation("red_marrow", energy)
    fibrous = 0.15 * (1 + _noise(share.shape, 5 / spacing, rng))
    marrow = yellow + (red - yellow) * np.where(towards_shaft > 0.5, fibrous, skeleton.red)
    bone_share = np.clip(cortex + (1 - cortex) * spongy, 0, 1)
    return (marrow + bone_share * (dense - marrow)).astype(np.float32)


def _shaft_share(
    bone: str, box: Box, frame: LegFrame, origin: np.ndarray, spacing: float
) -> np.ndarray:
    """0 at the joint's end of a long bone, 1 from 110 mm on, smooth between; broadcasts."""
    if bone not in frame.axes:
        return np.zeros((1, 1, 1), np.float32)
    k, j, i = (
        origin[axis] + spacing * np.arange(start, start + count)
        for axis, start, count in zip((2, 1, 0), box.start, box.shape)
    )
    x, y, z = frame.axes[bone]
    along = z * k[:, None, None] + y * j[:, None] + x * i
    ramp = np.clip((along - 30) / 80, 0, 1)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)


def _under_joint(
    bone: str, depth: np.ndarray, box: Box, near: tuple[Box, dict[str, np.ndarray]]
) -> np.ndarray:
    """1 at a surface that faces another bone closely, falling off over 3 mm of depth."""
    joint, distances = near
    others = [field for name, field in distances.items() if name != bone]
    closest = np.full(joint.shape, np.inf, np.float32)
    for field in others:
        closest = np.minimum(closest, field)
    facing = np.zeros(depth.shape, np.float32)
    start = np.maximum(box.start, joint.start)
    stop = np.minimum(np.add(box.start, box.shape), np.add(joint.start, joint.shape))
    if (stop > start).all():
        in_bone = tuple(slice(a - o, b - o) for a, b, o in zip(start, stop, box.start))
        in_joint = tuple(slice(a - o, b - o) for a, b, o in zip(start, stop, joint.start))
        # Measured from the other bone, so the point's own depth counts too.
        facing[in_bone] = np.clip((9 + depth[in_bone] - closest[in_joint]) / 4, 0, 1)
    return facing * np.exp(-np.clip(depth, 0, None) / 3)


def _noise(shape: tuple[int, ...], sigma: object, rng: np.random.Generator) -> np.ndarray:
    """Smooth random field of mean 0 and standard deviation 1, float32; sigma in voxels."""
    field = ndimage.gaussian_filter(
        rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap", truncate=2.5
    )
    return field / max(float(field.std()), 1e-9)
