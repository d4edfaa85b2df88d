"""The radiograph itself: what the fitted bones would cast, against what it shows.

Outlines tell little of a turn out of the image plane, and so of how far a knee is bent in a frontal
view. The edges inside them do, such as both condyles' and both rims of the tibial plateau: as in
registration of a CT to radiographs, the bones' own radiograph is drawn and its gradients are
compared (Penney et al., IEEE Trans Med Imaging 17(4), 1998). Bone is drawn as a dense cortex over
spongy bone of one density; only where edges lie is compared, not how strong they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.geometry.views import View
from SSRKDLib.radiographs.network_input import FramedRadiographs, reduced_to_cameras, sample
from SSRKDLib.reconstruction.fitting.residuals import Knee, NormalEquations
from SSRKDLib.reconstruction.fitting.state import FitState
from SSRKDLib.simulation.path_lengths import path_lengths

#: Pixels of the image that is compared, and their size at the joint, mm.
_PIXELS, _PIXEL_MM = 120, 1.0

#: Standard deviations of the Gaussians that gradients are taken with, and that their size is
#: averaged with: contrast differs from place to place; mm.
_EDGE_MM, _AROUND_MM = 1.0, 6.0

#: Gradients of less than this share of an image's mean square are not raised to the size of others.
_FLAT = 0.02

#: The edge of a square that is one look at the image, mm.
LOOK_MM = 3.0

#: Thickness of the cortex, mm, and how much denser than spongy bone it is.
_CORTEX_MM, _DENSER = 1.5, 1.5

#: Bones whose turns the radiograph draws, and by how much each is tried, radians.
_TURNED, _TRIED = ("femur", "tibia"), np.deg2rad(1.5)

#: Pixels around these bones that are compared, too.
_MARGIN = 2

#: Rays that are shorter in a bone than this miss it, mm.
_MISSED_MM = 0.3


@dataclass(frozen=True, eq=False)
class EdgeImage:
    """The edges of a radiograph around the joint.

    Attributes:
        view: in the world that poses refer to, mm.
        edges: ``[2, rows, columns]`` as :func:`local_gradients`.
        valid: ``[rows, columns]`` bool, where they are the leg's, not those of the exposed field.
    """

    view: View
    edges: np.ndarray
    valid: np.ndarray


def edge_image(radiographs: FramedRadiographs, slot: int) -> EdgeImage:
    """Of one of the radiographs that a knee is fitted to."""
    reduced, cameras = reduced_to_cameras(radiographs.pair, radiographs.frame, _PIXELS, _PIXEL_MM)
    camera = cameras[slot]
    exposure = reduced[camera.index]
    image, valid = sample(exposure.line_integral, exposure.valid, camera)
    reach = int(np.ceil(4 * _EDGE_MM / _PIXEL_MM))
    return EdgeImage(
        camera.view, local_gradients(image), ndimage.binary_erosion(valid, iterations=reach)
    )


def local_gradients(image: np.ndarray) -> np.ndarray:
    """Gradients ``[2, rows, columns]`` of an image, divided by their root mean square around."""
    image, edge = image.astype(np.float32), _EDGE_MM / _PIXEL_MM
    gradients = np.stack(
        [ndimage.gaussian_filter(image, edge, order, truncate=3.0) for order in ((1, 0), (0, 1))]
    )
    squares = (gradients**2).sum(0)
    around = ndimage.gaussian_filter(squares, _AROUND_MM / _PIXEL_MM, truncate=2.5)
    return gradients / np.sqrt(around + _FLAT * squares.mean() + 1e-12)


def cast(state: FitState, slot: int, view: View, bones: tuple[str, ...]) -> np.ndarray:
    """What each of some bones absorbs as it lay in a view, ``[bones, rows, columns]``: mm of spongy
    bone that absorb as much."""
    surfaces = []
    for bone in bones:
        part = state.model.bones[bone]
        outer = part.shape(state.coefficients)
        for points in (outer, outer - _CORTEX_MM * part.normals(outer)):
            vertices, faces = part.closed(points)
            surfaces.append((moved_points(state.poses[slot][bone], vertices), faces))
    lengths = path_lengths(surfaces, view)
    return (1 + _DENSER) * lengths[::2] - _DENSER * lengths[1::2]


@dataclass(frozen=True, eq=False)
class RadiographTerm:
    """Femur and tibia turn out of the image plane of one view until their edges lie on those of the
    radiograph. Other poses follow as outlines and priors have it; shapes do not, since some edges
    belong to what the bones' own radiograph lacks.

    Attributes:
        image: of the radiograph.
        slot: the view.
    """

    image: EdgeImage
    slot: int

    def add_to(self, equations: NormalEquations, knee: Knee) -> None:
        """Add residuals of the image; ``equations`` hold all else that is known already."""
        state, view = knee.state, self.image.view
        drawn = cast(state, self.slot, view, BONES)
        shown = (drawn[[BONES.index(bone) for bone in _TURNED]] > _MISSED_MM).any(0)
        used = ndimage.binary_dilation(shown, iterations=_MARGIN) & self.image.valid
        if not used.any():
            return
        whole = drawn.sum(0)
        edges = local_gradients(whole)[:, used].ravel()
        seen = self.image.edges[:, used].ravel()
        # By how much the bones' edges stand out from all that the radiograph shows.
        share = (seen @ edges) / (edges @ edges)
        if not share > 0:
            return  # it shows something else
        columns, turns = self._turns(equations)
        rates = np.empty((len(edges), len(turns)))
        for k, change in enumerate(equations.following(columns, turns).T):
            bone = _TURNED[k // 2]
            turned = state.stepped(*equations.split(_TRIED * change))
            # Other bones follow, too, but are left where they are: drawing takes most of the time.
            other = whole - drawn[BONES.index(bone)] + cast(turned, self.slot, view, (bone,))[0]
            rates[:, k] = (local_gradients(other)[:, used].ravel() - edges) / _TRIED
        apart = seen - share * edges
        variance = float(np.mean(apart**2))
        weights = (_PIXEL_MM / LOOK_MM) ** 2 / variance / (1 + apart**2 / (4 * variance))
        equations.add(columns, share * rates @ turns, weights, weights * apart)

    def _turns(self, equations: NormalEquations) -> tuple[np.ndarray, np.ndarray]:
        """Which unknowns turn the bones, and the turns ``[bones * 2, unknowns]`` about the image's
        rows and columns."""
        view, start = self.image.view, equations.motions
        blocks = [start + 6 * equations.state.block(self.slot, bone) for bone in _TURNED]
        columns = np.concatenate([np.arange(at, at + 3) for at in blocks])
        axes = np.stack([view.column_direction, view.row_direction])
        return columns, np.kron(np.eye(len(_TURNED)), axes)
