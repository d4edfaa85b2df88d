"""Points to learn from: near the bones' surfaces and anywhere, and the bone each lies in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.core.errors import InputError
from SSRKDLib.datasets.case_frame import CaseFrame
from SSRKDLib.surfaces.inside import inside_mesh
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import sample_surface

#: Names in ``sampling.npz``, as in the published code.
SAMPLING_NAMES: tuple[str, ...] = (
    "surface_inside",
    "surface_inside_labels",
    "surface_outside",
    "random_inside",
    "random_inside_labels",
    "random_outside",
)

#: Share of the points near a surface, with the standard deviation of their offset, mm.
OFFSETS = ((0.75, 1.5), (0.25, 5.0))


@dataclass(frozen=True)
class Sampling:
    """Points of one case, stored coordinates (z, y, x), float32; labels uint8.

    Attributes:
        surface_inside, surface_outside: ``[N, 3]`` near a bone's surface.
        random_inside, random_outside: ``[N, 3]`` uniform in the imaged box.
        surface_inside_labels, random_inside_labels: ``[N]``, as in ``anatomy.LABELS``.
    """

    surface_inside: np.ndarray
    surface_inside_labels: np.ndarray
    surface_outside: np.ndarray
    random_inside: np.ndarray
    random_inside_labels: np.ndarray
    random_outside: np.ndarray

    def all_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Every point ``[N, 3]`` and its label ``[N]``, 0 outside."""
        outside = [self.surface_outside, self.random_outside]
        points = np.concatenate([self.surface_inside, self.random_inside, *outside])
        labels = np.concatenate([self.surface_inside_labels, self.random_inside_labels])
        return points, np.concatenate([labels, np.zeros(sum(map(len, outside)), labels.dtype)])


def labels_at(meshes: Mapping[str, Mesh], points: np.ndarray) -> np.ndarray:
    """The label of the bone that each point ``[N, 3]`` mm lies in, uint8 ``[N]``, 0 for none.

    Where surfaces overlap, the later of ``BONES`` wins, as in the published label maps.
    """
    labels = np.zeros(len(points), np.uint8)
    for bone in BONES:
        if bone in meshes:
            labels[inside_mesh(meshes[bone], points)] = LABELS[bone]
    return labels


def sample_case(
    meshes: Mapping[str, Mesh],
    frame: CaseFrame,
    box: np.ndarray,
    per_bone: int,
    anywhere: int,
    rng: np.random.Generator,
) -> Sampling:
    """Draw a case's points.

    Args:
        meshes: bones, case mm; shafts may go on past the box, open ends are capped.
        frame: the case's.
        box: ``[2, 3]`` lowest and highest corner of what the CT shows, case mm: points come from
            there only.
        per_bone: points near each bone's surface (three quarters within about 3 mm, one quarter
            within about 10), before those outside the box are dropped.
        anywhere: points uniform in the box.
        rng: the randomness.
    """
    near = []
    for bone in BONES:
        shown = meshes[bone].clipped(box)
        if not len(shown.faces):
            continue
        surface = sample_surface(shown, per_bone, int(rng.integers(1 << 31)))
        shares = [share for share, _ in OFFSETS]
        width = rng.choice([width for _, width in OFFSETS], per_bone, p=shares)
        points = surface + rng.standard_normal((per_bone, 3)) * width[:, None]
        near.append(points[((points >= box[0]) & (points <= box[1])).all(axis=1)])
    parts = {
        "surface": np.concatenate(near) if near else np.empty((0, 3)),
        "random": rng.uniform(box[0], box[1], (anywhere, 3)),
    }
    arrays = {}
    for name, points in parts.items():
        # Labels belong to the points as they are stored, in single precision.
        stored = frame.normalised(points).astype(np.float32)
        labels = labels_at(meshes, frame.millimetres(stored))
        arrays[f"{name}_inside"] = stored[labels > 0]
        arrays[f"{name}_inside_labels"] = labels[labels > 0]
        arrays[f"{name}_outside"] = stored[labels == 0]
    return Sampling(**arrays)


def sampling_from(arrays: Mapping[str, np.ndarray], name: str) -> Sampling:
    """A checked sampling from the arrays of a file: plain ones, or the published dictionary.

    Args:
        arrays: as :func:`SSRKDLib.datasets.npz.read_npz` reads them.
        name: of the file, for messages.

    Raises:
        InputError: something is missing or of a wrong shape.
    """
    published = arrays.get("arr_0")
    if published is not None and published.dtype == object and published.size == 1:
        arrays = published.reshape(-1)[0]
    fault = None
    if not isinstance(arrays, Mapping):
        fault = "does not contain a dictionary of points"
    else:
        fault = next((f"lacks {key}" for key in SAMPLING_NAMES if key not in arrays), None)
    if fault is None:
        for part in ("surface", "random"):
            points, labels = arrays[f"{part}_inside"], arrays[f"{part}_inside_labels"]
            if not (_are_points(points) and _are_points(arrays[f"{part}_outside"])):
                fault = f"contains {part} points that are not [N, 3] numbers"
            elif not _are_labels(labels, len(points)):
                fault = f"contains {part} labels that do not belong to its points"
    if fault is not None:
        raise InputError(f"{name} {fault}.", "Prepare the case again.")
    return Sampling(
        **{
            key: np.asarray(arrays[key], np.uint8 if key.endswith("labels") else np.float32)
            for key in SAMPLING_NAMES
        }
    )


def _are_points(array: object) -> bool:
    good = isinstance(array, np.ndarray) and array.dtype.kind in "fiu"
    return good and array.ndim == 2 and array.shape[1] == 3 and bool(np.isfinite(array).all())


def _are_labels(array: object, count: int) -> bool:
    good = isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and array.shape == (count,)
    return good and bool(np.isin(array, list(LABELS.values())).all())
