"""A statistical model of the bones near the knee, each in its own place of the canonical frame.

Only people 0 to 19 of the bundled population enter. Every bone is aligned by itself, since pose is
no shape. The covariance is a sum: what the four bones do together in twenty people, what each does
by itself, a smooth displacement that no person shows (as in Luethi et al., IEEE PAMI 40(8), 2018),
and size, together and by bone. The sum is kept as its strongest components.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_matrix

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import cross_products, rigid_fit
from SSRKDLib.simulation.population import (
    TRAINING_PEOPLE,
    canonical_frame,
    load_population,
    shape_model,
)

#: Name and version of the vertices that delivered bones share; it changes with their order.
TEMPLATE, TEMPLATE_VERSION = "llp26", 1

#: How much of the shafts is modelled, mm from the joint along the leg. Enough for small people too.
SHAFT_MM = 130.0

#: Bones are aligned by what lies within this height, mm.
_ALIGNED_MM = 95.0

#: Components that are kept.
COMPONENTS = 120

#: Shares of the people's covariance: all bones together, and each by itself.
_TOGETHER, _APART = 0.6, 0.4

#: Twenty people do not span a population: standard deviations are wider than theirs.
_WIDER = 1.15

#: Smooth displacement: standard deviation and length of its Gaussian kernel, mm.
_SMOOTH_MM, _LENGTH_MM = 1.0, 25.0

#: Components of the smooth displacement, per bone and axis, and the vertices they are found from.
_SMOOTH_COMPONENTS, _SMOOTH_VERTICES = 24, 400

#: Standard deviations of size, and of girth by axis, all bones together; by itself each has half.
_SIZE, _GIRTH = 0.035, 0.01


@dataclass(frozen=True, eq=False)
class BoneModel:
    """One bone of the model.

    Attributes:
        mean: ``[N, 3]`` mm, canonical coordinates.
        modes: ``[N, 3, K]`` float32, what one standard deviation of each component does, mm.
        faces: ``[M, 3]``, outward.
        edges: ``[E, 2]`` vertices of the edges between two faces.
        rim_edges: ``[R, 2]`` of those of one face, in the direction that it runs round.
        rim: ``[N]`` bool, vertices where the modelled shaft ends.
        vertices: ``[N]`` their numbers in the population's bone.
    """

    mean: np.ndarray
    modes: np.ndarray
    faces: np.ndarray
    edges: np.ndarray
    rim_edges: np.ndarray
    rim: np.ndarray
    vertices: np.ndarray
    _corners: csr_matrix

    @classmethod
    def of_mesh(
        cls, mean: np.ndarray, modes: np.ndarray, faces: np.ndarray, vertices: np.ndarray
    ) -> BoneModel:
        """The bone of a mean surface; arguments as the attributes."""
        directed = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        number = directed.min(1) * len(mean) + directed.max(1)
        number, first, counts = np.unique(number, return_index=True, return_counts=True)
        edges = np.stack(np.divmod(number[counts == 2], len(mean)), axis=1)
        rim_edges = directed[first[counts == 1]]
        rim = np.zeros(len(mean), bool)
        rim[rim_edges] = True
        corners = csr_matrix(
            (np.ones(faces.size), (faces.ravel(), np.repeat(np.arange(len(faces)), 3))),
            shape=(len(mean), len(faces)),
        )
        return cls(mean, modes, faces, edges, rim_edges, rim, vertices, corners)

    def shape(self, coefficients: np.ndarray) -> np.ndarray:
        """``[N, 3]`` mm of coefficients ``[K]``, standard deviations."""
        return self.mean + self.modes @ coefficients.astype(np.float32)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Outward unit normals ``[N, 3]`` of the bone with its vertices at ``points``."""
        a, b, c = (points[self.faces[:, k]] for k in range(3))
        vectors = self._corners @ cross_products(b - a, c - a)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def closed(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices and faces of the bone with its vertices at ``points``, its rim closed by a fan
        about the rim's middle."""
        if not self.rim.any():
            return points, self.faces
        middle = np.full((len(self.rim_edges), 1), len(points))
        fan = np.concatenate([self.rim_edges[:, ::-1], middle], axis=1)
        vertices = np.concatenate([points, points[self.rim].mean(0, keepdims=True)])
        return vertices, np.concatenate([self.faces, fan])


@dataclass(frozen=True, eq=False)
class KneeShapeModel:
    """The four bones and what their shapes have in common.

    Attributes:
        bones: by name.
        components: how many there are.
    """

    bones: dict[str, BoneModel]
    components: int


@lru_cache(maxsize=1)
def knee_shape_model() -> KneeShapeModel:
    """The model of people 0 to 19; nothing of the held-out people enters it."""
    parts = {bone: _aligned_people(bone) for bone in BONES}
    means = {bone: people.mean(0) for bone, (people, _, _) in parts.items()}
    ends = np.cumsum([0] + [len(means[bone]) for bone in BONES])
    rows = {bone: slice(ends[i], ends[i + 1]) for i, bone in enumerate(BONES)}
    deviations = {bone: parts[bone][0] - means[bone] for bone in BONES}
    columns = np.concatenate(
        [
            _of_people(deviations, rows, ends[-1], BONES, _TOGETHER),
            *(_of_people(deviations, rows, ends[-1], (bone,), _APART) for bone in BONES),
            *(_smooth(means[bone], rows[bone], ends[-1]) for bone in BONES),
            _sizes(means, rows, ends[-1]),
        ]
    )
    for bone in BONES:
        _take_out_motions(columns[:, rows[bone]], means[bone])
    columns = columns.reshape(-1, 3 * ends[-1])
    # Covariance columns' columns: the strongest components from the small Gram matrix.
    strength, directions = np.linalg.eigh((columns @ columns.T).astype(np.float64))
    strongest = directions[:, np.argsort(-strength)[:COMPONENTS]]
    modes = (strongest.T.astype(np.float32) @ columns).reshape(COMPONENTS, -1, 3)
    modes = np.ascontiguousarray(modes.transpose(1, 2, 0))
    bones = {
        bone: BoneModel.of_mesh(means[bone], modes[rows[bone]], *parts[bone][1:]) for bone in BONES
    }
    return KneeShapeModel(bones, COMPONENTS)


def _aligned_people(bone: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One bone of the training people ``[people, N, 3]`` in the mean bone's place, its faces, and
    the numbers of its vertices in the population's bone."""
    population, model = load_population(), shape_model()
    template = model.split(model.mean)
    people = []
    for person in TRAINING_PEOPLE:
        frame = canonical_frame({b: population.vertices[b][person] for b in BONES}, template)
        people.append((population.vertices[bone][person] - frame[:3, 3]) @ frame[:3, :3])
    points = np.stack(people)
    near = (np.abs(points.mean(0)[:, 2]) < SHAFT_MM)[population.faces[bone]].all(1)
    vertices, corners = np.unique(population.faces[bone][near], return_inverse=True)
    points = points[:, vertices]
    carrying = np.abs(points.mean(0)[:, 2]) < _ALIGNED_MM
    for _ in range(3):
        mean = points.mean(0)
        for one in points:
            move = rigid_fit(one[carrying], mean[carrying])
            one[:] = one @ move[:3, :3].T + move[:3, 3]
    return points, corners.reshape(-1, 3), vertices


def _of_people(
    deviations: dict[str, np.ndarray],
    rows: dict[str, slice],
    count: int,
    bones: tuple[str, ...],
    share: float,
) -> np.ndarray:
    """Columns ``[people, V, 3]`` float32 whose products are a share of the people's covariance."""
    people = len(TRAINING_PEOPLE)
    columns = np.zeros((people, count, 3), np.float32)
    for bone in bones:
        columns[:, rows[bone]] = _WIDER * np.sqrt(share / (people - 1)) * deviations[bone]
    return columns


def _smooth(mean: np.ndarray, rows: slice, count: int) -> np.ndarray:
    """Columns of a smooth displacement of one bone: the strongest eigenvectors of a Gaussian
    kernel, found at some vertices and continued to all (Nystroem's method)."""
    some = mean[np.random.default_rng(0).permutation(len(mean))[:_SMOOTH_VERTICES]]

    def kernel(points: np.ndarray) -> np.ndarray:
        squares = ((points[:, None] - some[None]) ** 2).sum(-1)
        return np.exp(-squares / (2 * _LENGTH_MM**2))

    strength, vectors = np.linalg.eigh(kernel(some))
    kept = np.argsort(-strength)[:_SMOOTH_COMPONENTS]
    functions = kernel(mean) @ vectors[:, kept] / np.sqrt(strength[kept])
    columns = np.zeros((_SMOOTH_COMPONENTS, 3, count, 3), np.float32)
    for axis in range(3):
        columns[:, axis, rows, axis] = _SMOOTH_MM * functions.T
    return columns.reshape(-1, count, 3)


def _take_out_motions(columns: np.ndarray, mean: np.ndarray) -> None:
    """Take the turn and the shift of a bone out of its columns ``[C, N, 3]``: they are pose."""
    arms = mean - mean.mean(0)
    motions = np.concatenate(
        [
            np.broadcast_to(np.eye(3)[:, None], (3, *mean.shape)),
            np.cross(np.eye(3)[:, None], arms[None]),
        ]
    )
    carrying = np.abs(mean[:, 2]) < _ALIGNED_MM
    near = motions[:, carrying].reshape(6, -1)
    shares = np.linalg.solve(near @ near.T, near @ columns[:, carrying].reshape(len(columns), -1).T)
    columns -= np.tensordot(shares.T, motions, 1).astype(columns.dtype)


def _sizes(means: dict[str, np.ndarray], rows: dict[str, slice], count: int) -> np.ndarray:
    """Columns of size and of girth by axis."""
    spread = {bone: mean - mean.mean(0) for bone, mean in means.items()}
    together = np.concatenate([spread[bone] for bone in means])
    columns = [_SIZE * together]
    for axis in np.eye(3):
        columns.append(_GIRTH * together * axis)
        for bone in means:
            alone = np.zeros((count, 3))
            alone[rows[bone]] = _GIRTH / 2 * spread[bone] * axis
            columns.append(alone)
    return np.stack(columns).astype(np.float32)
