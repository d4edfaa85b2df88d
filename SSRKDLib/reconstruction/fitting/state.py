"""What is fitted: one shape, and a pose of each bone in each view."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import moved_points, turn_about
from SSRKDLib.reconstruction.fitting.shape_model import KneeShapeModel

#: The frontal and the lateral view, which come first; further ones follow.
PAIR = (0, 1)

#: The point of each bone about which it is turned, mm, the model's canonical coordinates.
PIVOTS = {
    "patella": np.array([0.0, -38.0, 22.0]),
    "femur": np.array([0.0, 5.0, 15.0]),
    "fibula": np.array([25.0, 30.0, -30.0]),
    "tibia": np.array([0.0, 5.0, -15.0]),
}

#: Poses of a bone change by at most this much in a step: radians and mm.
_LARGEST_TURN, _LARGEST_SHIFT = np.deg2rad(12.0), 25.0

Poses = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class FitState:
    """A shape and its poses.

    Attributes:
        model: of the shapes.
        coefficients: ``[K]`` standard deviations; the bones share them, and so do the views.
        poses: per view and bone a rigid 4x4 from the model's canonical coordinates to the world
            that the views are given in; the same for views that share them, but for the shifts.
        shared: per view the first view in which the bones lay as in it: itself where they moved.
        offsets: ``[views, 4]`` mm by which each mask is too large; None: none is.
        shifts: ``[views - 1, 3]`` mm, world, from where the knee lies in the first view to where
            it lies in each further one, whose camera does not stand where it is said to; None
            where cameras do, and where poses are own.
    """

    model: KneeShapeModel
    coefficients: np.ndarray
    poses: tuple[Poses, ...]
    shared: tuple[int, ...]
    offsets: np.ndarray = None
    shifts: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.offsets is None:
            object.__setattr__(self, "offsets", np.zeros((len(self.poses), len(BONES))))

    @classmethod
    def mean(cls, model: KneeShapeModel, views: int = len(PAIR), doubted: bool = False) -> FitState:
        """The mean knee in its own place, the same in so many views; ``doubted``: these may stand
        elsewhere than they are said to."""
        still = {bone: np.eye(4) for bone in BONES}
        shifts = np.zeros((views - 1, 3)) if doubted else None
        poses, shared = (still,) * views, (0,) * views
        return cls(model, np.zeros(model.components), poses, shared, shifts=shifts)

    def with_own_poses(self) -> FitState:
        """The same, its bones free to lie otherwise in each view."""
        return replace(self, shared=tuple(self.slots), shifts=None)

    def with_shared_poses(self, slot: int, other: int) -> FitState:
        """The same, its bones as in another of the views that have poses of their own."""
        poses, shared = list(self.poses), list(self.shared)
        poses[slot], shared[slot] = poses[other], other
        return replace(self, poses=tuple(poses), shared=tuple(shared))

    @property
    def one_pose(self) -> bool:
        """Whether no bone moved between the views."""
        return not any(self.shared)

    @property
    def free(self) -> int:
        """How many unknowns the shifts have."""
        return 0 if self.shifts is None else self.shifts.size

    @property
    def slots(self) -> range:
        """The views."""
        return range(len(self.poses))

    @property
    def own_slots(self) -> tuple[int, ...]:
        """The views that have poses of their own: the first, where all share them."""
        return tuple(slot for slot in self.slots if self.shared[slot] == slot)

    @property
    def blocks(self) -> int:
        """How many poses are unknown."""
        return len(BONES) * len(self.own_slots)

    def block(self, slot: int, bone: str) -> int:
        """Which of them is that of a bone in a view."""
        return BONES.index(bone) + len(BONES) * self.own_slots.index(self.shared[slot])

    def points(self, bone: str, slot: int) -> np.ndarray:
        """Vertices ``[N, 3]`` mm of a bone as it lay in a view."""
        return moved_points(self.poses[slot][bone], self.model.bones[bone].shape(self.coefficients))

    def stepped(
        self,
        shape: np.ndarray,
        motions: np.ndarray,
        offsets: np.ndarray,
        shifts: np.ndarray | None = None,
    ) -> FitState:
        """The state after a step.

        Args:
            shape: ``[K]`` change of the coefficients.
            motions: ``[blocks, 6]`` turn about the bone's pivot (radians, world axes), shift (mm).
            offsets: ``[views, 4]`` change, mm.
            shifts: ``[views - 1, 3]`` change, mm, where the state has any.
        """
        poses = {
            s: {
                bone: _turned(self.poses[s][bone], bone, motions[self.block(s, bone)])
                for bone in BONES
            }
            for s in self.own_slots
        }
        changed = replace(
            self,
            coefficients=self.coefficients + shape,
            poses=tuple(poses[s] for s in self.shared),
            offsets=self.offsets + offsets,
        )
        if self.shifts is None:
            return changed
        further = self.shifts + [_limited(shift) for shift in shifts]
        others = ({b: moved_by(shift) @ pose for b, pose in poses[0].items()} for shift in further)
        return replace(changed, poses=(poses[0], *others), shifts=further)


def moved_by(shift: np.ndarray) -> np.ndarray:
    """The 4x4 of a shift ``(3,)``, mm."""
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return matrix


def _limited(shift: np.ndarray) -> np.ndarray:
    return shift * min(1.0, _LARGEST_SHIFT / max(np.linalg.norm(shift), 1e-12))


def _turned(pose: np.ndarray, bone: str, motion: np.ndarray) -> np.ndarray:
    turn = motion[:3] * min(1.0, _LARGEST_TURN / max(np.linalg.norm(motion[:3]), 1e-12))
    rotation = Rotation.from_rotvec(turn).as_matrix()
    return turn_about(rotation, moved_points(pose, PIVOTS[bone]), _limited(motion[3:])) @ pose
