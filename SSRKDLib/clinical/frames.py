"""Frames of femur and tibia, built from the bones themselves.

All functions take a left knee (mirror a right one first). A frame's axes are x lateral, y posterior
and z up along the bone; lengths are given in the bone's own width, so that a frame neither depends
on how the knee lies in the world nor on its size. Each frame depends on itself (the long axis says
which section is a level, the sections say where the long axis is) and is iterated until it stays.

Femur: z is the line through the centres of the shaft's sections; x is parallel to the posterior
condylar line, the common tangent of both condyles seen along z. Tibia: z likewise; x joins the
middles (front to back) of both plateaus' outlines just below the joint surface, after Cobb et al.,
J Bone Joint Surg Br 90, 2008, 1032-1038, who join the centres of circles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SSRKDLib.clinical.sections import Section, fitted_line, heights_above, section
from SSRKDLib.surfaces.mesh import Mesh

#: Between which heights the shaft's sections are taken: above the end of the condyles, and below
#: the plateaus, in widths of the bone. Above and below them bones flare; past them, 90 mm from the
#: joint, a reconstruction may end.
FEMUR_SHAFT = (0.65, 0.95)
TIBIA_SHAFT = (0.65, 1.05)

#: The femur's condyles and epicondyles lie within this height, in widths.
CONDYLES = 0.6

#: How far below the plateaus' plane their common outline is taken, in widths: for the transverse
#: axis, and for where the joint surfaces end in front and behind.
_OUTLINE, _RIM = 0.12, 0.05

#: Where both plateaus' middles are, as shares of the outline's width from the medial side.
PLATEAUS = (0.25, 0.75)

_STEPS = 30
_SECTIONS = 9


class Unmeasurable(Exception):
    """What is asked for cannot be found; the text is a sentence that says why."""


@dataclass(frozen=True)
class Frame:
    """A bone's own frame.

    Attributes:
        axes: ``[3, 3]`` rows x (lateral), y (posterior), z (up), in the mesh's frame.
        level: z of the joint's end: of the most distal condyle, or of the plateaus' mean. The
            origin is the mesh's own: local = axes @ point.
        width: extent along x, mm.
        shaft: ``[2, 3]`` lower and upper end of the fitted shaft axis (mesh's frame), None where
            the shaft is not visible; then z is only estimated.
    """

    axes: np.ndarray
    level: float
    width: float
    shaft: np.ndarray | None

    def local(self, mesh: Mesh) -> np.ndarray:
        """The mesh's vertices in this frame, ``[N, 3]`` mm."""
        return mesh.vertices @ self.axes.T

    def world(self, *points: np.ndarray) -> np.ndarray:
        """Points of this frame in the mesh's, ``[K, 3]`` mm."""
        return np.array(points) @ self.axes


@dataclass(frozen=True)
class TibiaFrame(Frame):
    """A tibia's frame, and where its plateaus are.

    ``spans``: medial and lateral, each x of the plateau's middle and y of its front and back rim.
    """

    spans: tuple[tuple[float, tuple[float, float]], ...]


def femur_frame(femur: Mesh, up: np.ndarray) -> Frame:
    """The frame of a left femur.

    Args:
        femur: cut anywhere above the condyles.
        up: (3,) roughly along the shaft, away from the joint.

    Raises:
        Unmeasurable: the condyles cannot be identified.
    """
    z, width, x, shaft = up / np.linalg.norm(up), 80.0, _any_across(up), None
    for _ in range(_STEPS):
        before = np.array([*z, width])
        axes = _axes(x, z)
        local = femur.vertices @ axes.T
        level = local[:, 2].min()
        near = local[:, 2] <= level + CONDYLES * width
        back = _condyles_direction(local, femur.faces, level, width)
        y = _posterior_tangent(local[near][:, :2], back) @ axes[:2]
        x = np.cross(y, z)
        width = float(np.ptp(femur.vertices[near] @ x))
        axes = _axes(x, z)
        span = level + width * np.array(FEMUR_SHAFT)
        shaft = _shaft_axis(femur, axes, span)
        if shaft is not None:
            z = _unit(shaft[1] - shaft[0])
        if np.abs([*z, width] - before).max() < 1e-9:
            break
    axes = _axes(x, z)
    return Frame(axes, float((femur.vertices @ z).min()), width, shaft)


def tibia_frame(tibia: Mesh, up: np.ndarray, lateral: np.ndarray) -> TibiaFrame:
    """The frame of a left tibia.

    Args:
        tibia: cut anywhere below the plateaus.
        up: (3,) roughly along the shaft, towards the joint.
        lateral: (3,) roughly to the lateral side.

    Raises:
        Unmeasurable: the plateaus cannot be identified.
    """
    z, width, x, shaft = up / np.linalg.norm(up), 75.0, lateral, None
    # The plateaus' plane: a point of it and its normal, in the mesh's frame.
    middle = tibia.vertices[np.argmax(tibia.vertices @ z)] - 0.08 * width * z  # below the eminence
    normal = z
    for _ in range(_STEPS):
        before = np.array([*x, *z, *normal, width])
        axes = _axes(x, z)
        local = (tibia.vertices - middle) @ axes.T
        outline = _plateau_outline(local, tibia.faces, axes @ normal, _OUTLINE * width)
        spans = _spans(outline)
        fitted, tilted = _plane(spans, local[tibia.faces])
        middle = middle + fitted @ axes
        normal = tilted @ axes
        across = np.array([spans[1][0] - spans[0][0], np.mean(spans[1][1]) - np.mean(spans[0][1])])
        x = _unit(across @ axes[:2])
        width = float(np.ptp(outline.start @ (axes[:2] @ x)))
        shaft = _shaft_axis(tibia, axes, axes[2] @ middle - width * np.array(TIBIA_SHAFT)[::-1])
        if shaft is not None:
            z = _unit(shaft[1] - shaft[0])
        if np.abs([*x, *z, *normal, width] - before).max() < 1e-9:
            break
    axes = _axes(x, z)
    local = (tibia.vertices - middle) @ axes.T
    outline, rim = (
        _plateau_outline(local, tibia.faces, axes @ normal, share * width)
        for share in (_OUTLINE, _RIM)
    )
    x0, y0, level = axes @ middle
    found = [(place, rim.span(place)) for place, _ in _spans(outline)]
    if any(span is None for _, span in found):
        raise Unmeasurable("The tibia's plateaus have no rim.")
    spans = tuple((x0 + place, (y0 + front, y0 + back)) for place, (front, back) in found)
    return TibiaFrame(axes, float(level), width, shaft, spans)


def _plateau_outline(
    local: np.ndarray, faces: np.ndarray, normal: np.ndarray, depth: float
) -> Section:
    """The tibia's outline ``depth`` mm below both plateaus' plane, seen from above.

    It is parallel to the plane, which goes through the origin of ``local``: were it level, it would
    run through other parts of the flare where the slope is steeper, and seem to turn the tibia.

    Raises:
        Unmeasurable: the surface is open there, or ends above.
    """
    # Moved to the plane at right angles to it.
    shift = depth * normal[2] * normal[:2]
    sheared = local.copy()
    sheared[:, 2] += local[:, :2] @ (normal[:2] / normal[2])
    outline = section(sheared, faces, -depth)
    if not outline.is_closed:
        raise Unmeasurable("The tibia is cut just below its plateaus.")
    return Section(outline.start + shift, outline.end + shift)


def _spans(outline: Section) -> list[tuple[float, tuple[float, float]]]:
    """Medial and lateral: x of the plateau's middle, and where the outline begins and ends in y."""
    low, high = outline.start[:, 0].min(), outline.start[:, 0].max()
    places = [float(low + share * (high - low)) for share in PLATEAUS]
    spans = [(place, outline.span(place)) for place in places]
    if any(span is None for _, span in spans):
        raise Unmeasurable("The tibia's plateaus have no outline.")
    return spans


def _plane(
    spans: list[tuple[float, tuple[float, float]]], corners: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Point between the plateaus' middles and unit normal of the plane fitted to both."""
    points = np.array([[x, y] for x, span in spans for y in np.linspace(*span, _SECTIONS)[2:-2]])
    heights = heights_above(points, corners)
    if np.isnan(heights).any():
        raise Unmeasurable("The tibia's plateaus have holes.")
    middle = points.mean(axis=0)
    ones = np.ones((len(points), 1))
    slope_x, slope_y, height = np.linalg.lstsq(
        np.hstack([points - middle, ones]), heights, rcond=None
    )[0]
    return np.array([*middle, height]), _unit(np.array([-slope_x, -slope_y, 1.0]))


def _axes(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rows x, y, z of a frame with this z and x as near as possible to this one."""
    x = _unit(x - (x @ z) * z)
    return np.stack([x, np.cross(z, x), z])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _any_across(z: np.ndarray) -> np.ndarray:
    """Some direction that is not parallel to ``z``."""
    return np.eye(3)[np.argmin(np.abs(z))]


def _shaft_axis(mesh: Mesh, axes: np.ndarray, heights: np.ndarray) -> np.ndarray | None:
    """Ends ``[2, 3]`` of the line through the sections' centres; None if one is not whole."""
    local = mesh.vertices @ axes.T
    centres = []
    for height in np.linspace(*heights, _SECTIONS):
        cut = section(local, mesh.faces, height)
        area, centre = cut.moment()
        if not cut.is_closed or not area:
            return None
        centres.append([*centre, height])
    points = np.array(centres) @ axes
    direction, middle = fitted_line(points), points.mean(axis=0)
    along = (points - middle) @ direction
    return middle + np.outer([along[0], along[-1]], direction)


def _condyles_direction(
    local: np.ndarray, faces: np.ndarray, level: float, width: float
) -> np.ndarray:
    """(2,) x, y from the shaft's centre to the condyles': they stand out to the back."""
    found = {}
    for share in (0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8):
        cut = section(local, faces, level + share * width)
        area, centre = cut.moment()
        if cut.is_closed and area:
            found[share] = (area, centre)
    low = [found[share] for share in found if share <= 0.3]
    high = [found[share] for share in found if share > 0.3]
    if not low or not high:
        raise Unmeasurable("Too little of the femur is visible to identify its condyles.")
    condyles = sum(area * centre for area, centre in low) / sum(area for area, _ in low)
    return condyles - high[-1][1]


def _posterior_tangent(points: np.ndarray, back: np.ndarray) -> np.ndarray:
    """(2,) unit normal, to the back, of the common tangent of both condyles.

    It is the longest edge of the convex hull of ``points`` [N, 2] on that side.
    """
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points).vertices]  # counter-clockwise
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.linalg.norm(edges, axis=1)
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1) / lengths[:, None]
    behind = normals @ back > np.cos(np.radians(80.0)) * np.linalg.norm(back)
    return normals[np.argmax(np.where(behind, lengths, 0.0))]
