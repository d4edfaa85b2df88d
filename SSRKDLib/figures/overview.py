"""One picture that shows whether a reconstruction can be trusted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.boxes import bounding_box
from SSRKDLib.core.output_file import write_file
from SSRKDLib.core.system_errors import missing_package
from SSRKDLib.figures.shading import shade
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.geometry.views import View
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.surfaces.mesh import Mesh

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from SSRKDLib.reconstruction.radiographs import Reconstruction

_DPI = 160
_INK, _FAINT, _PAPER, _PANEL = "#1b2127", "#5d6873", "#ffffff", "#eef1f4"

#: Inches: panel height, gap, room above (titles), below (legend, credit).
_HEIGHT, _GAP, _ABOVE, _BELOW = 5.2, 0.14, 0.68, 0.6

#: Longer side of a radiograph in the picture, pixels.
_LARGEST = 800

_BAR_MM = 50


def overview(
    path: str | os.PathLike,
    bones: dict[str, Mesh],
    exposures: list[Exposure],
    frame: np.ndarray,
    title: str,
    credit: str | None = None,
    truth: dict[str, Mesh] | None = None,
    lying: Sequence[dict[str, Mesh]] | None = None,
) -> None:
    """Write a PNG: the bones in 3D from the front and from the outer side, and both radiographs
    with the bones' outlines.

    Args:
        path: file to write.
        bones: surfaces in rig coordinates, mm.
        exposures: the radiographs, in the same coordinates.
        frame: canonical to rig, 4x4 (``canonical_to_rig`` of the report): which way the patient
            faces.
        title: heading.
        credit: line at the bottom.
        truth: the true surfaces, drawn as dashed outlines in the 3D panels.
        lying: the bones as they lay in each radiograph, see :func:`lying_bones`; default: as in
            ``bones``.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", error) from error
    models = [_Model(bones, truth, frame, side) for side in ("front", "outer side")]
    lying = [bones] * len(exposures) if lying is None else lying
    films = [_Film(exposure, seen, frame) for exposure, seen in zip(exposures, lying)]
    panels = [*models, *films]
    widths = [_HEIGHT * panel.aspect for panel in panels]
    width = sum(widths) + _GAP * (len(panels) + 1)
    height = _HEIGHT + _ABOVE + _BELOW
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=_PAPER)
    left = _GAP
    for panel, panel_width in zip(panels, widths):
        box = (left / width, _BELOW / height, panel_width / width, _HEIGHT / height)
        panel.draw(figure.add_axes(box))
        left += panel_width + _GAP
    _write_around(figure, bones, title, credit, truth is not None)
    write_file(path, FigureCanvasAgg(figure).print_png)


def lying_bones(result: Reconstruction, count: int) -> list[dict[str, Mesh]]:
    """The bones as they lay in each of ``count`` radiographs; as delivered in those of which
    nothing is known, beyond the pair."""
    lying = [result.bones] * count
    for name, index in result.views.items():
        lying[index] = result.bones_in(name)
    return lying


def _write_around(
    figure: Figure, bones: dict[str, Mesh], title: str, credit: str | None, has_truth: bool
) -> None:
    """Heading, legend and the lines at the bottom."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    width, height = figure.get_size_inches()
    x = _GAP / width
    figure.text(x, 1 - 0.12 / height, title, fontsize=13, weight="bold", color=_INK, va="top")
    handles: list[Any] = [Patch(color=COLOURS[b], label=b) for b in BONES if b in bones]
    if has_truth:
        handles.append(
            Line2D([], [], color=_INK, linestyle=(0, (4, 2)), lw=0.9, label="true outline")
        )
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(x, 0.27 / height),
        ncols=len(handles), frameon=False, fontsize=9.5, labelcolor=_INK, handlelength=1.2,
        columnspacing=1.4, borderpad=0, borderaxespad=0,
    )  # fmt: skip
    notice = "SSRKD. For research, not for diagnosis."
    line = f"{credit}  |  {notice}" if credit else notice
    figure.text(x, 0.07 / height, line, fontsize=7.5, color=_FAINT, va="bottom")


class _Model:
    """A 3D panel: parallel projection, so one scale bar holds everywhere."""

    def __init__(
        self,
        bones: dict[str, Mesh],
        truth: dict[str, Mesh] | None,
        frame: np.ndarray,
        side: str,
    ) -> None:
        self.side = side
        self.right_knee = np.linalg.det(frame[:3, :3]) < 0
        # The patient's own axes: left, backwards, up.
        to_patient = np.linalg.inv(frame @ MIRROR if self.right_knee else frame)
        self.bones = {bone: mesh.transformed(to_patient) for bone, mesh in bones.items()}
        self.truth = {b: m.transformed(to_patient) for b, m in (truth or {}).items() if b in bones}
        points = np.concatenate([mesh.vertices for mesh in self.bones.values()])
        self.middle = bounding_box(points).mean(axis=0)
        span = np.ptp(points, axis=0)
        self.half_height = span[2] / 2 + 8
        # Both 3D panels are equally wide, so that they share their scale.
        self.half_width = max(span[:2].max() / 2 + 8, 0.33 * self.half_height)
        self.aspect = self.half_width / self.half_height

    def draw(self, axes: Axes) -> None:
        outwards = -1.0 if self.right_knee else 1.0
        if self.side == "front":
            right, ends = np.array([1.0, 0.0, 0.0]), ("R", "L")
        else:
            right = np.array([0.0, outwards, 0.0])
            ends = ("P", "A") if self.right_knee else ("A", "P")
        up = np.array([0.0, 0.0, 1.0])
        across, height = float(right @ self.middle), float(self.middle[2])
        extent = (
            across - self.half_width, across + self.half_width,
            height - self.half_height, height + self.half_height,
        )  # fmt: skip
        resolution = _HEIGHT * _DPI / (2 * self.half_height)
        picture = shade(
            [(mesh, COLOURS[bone]) for bone, mesh in self.bones.items()],
            right, up, extent, resolution,
        )  # fmt: skip
        axes.set_facecolor(_PANEL)
        axes.imshow(picture, extent=extent, interpolation="none", zorder=2)
        for mesh in self.truth.values():
            self._outline(axes, mesh, right, up, extent)
        axes.set(xlim=extent[:2], ylim=extent[2:])
        _frame(axes, f"3D, from the {self.side}")
        for x, letter, align in ((0.02, ends[0], "left"), (0.98, ends[1], "right")):
            axes.text(
                x, 0.98, letter, transform=axes.transAxes, color=_FAINT, fontsize=10,
                weight="bold", ha=align, va="top", zorder=4,
            )  # fmt: skip
        _scale_bar(axes, extent)

    @staticmethod
    def _outline(
        axes: Axes, mesh: Mesh, right: np.ndarray, up: np.ndarray, extent: tuple[float, ...]
    ) -> None:
        """The outline of a surface as a dashed line."""
        density = 4.0
        mask = shade([(mesh, (0, 0, 0))], right, up, extent, density, 1)[..., 3]
        rows, columns = mask.shape
        x = extent[0] + (np.arange(columns) + 0.5) / density
        y = extent[3] - (np.arange(rows) + 0.5) / density
        axes.contour(
            x, y, ndimage.gaussian_filter(mask, 1.0), [0.5], colors=[_INK], linewidths=0.9,
            linestyles=[(0, (4, 2))], zorder=3,
        )  # fmt: skip


class _Film:
    """A radiograph, cropped around the bones and turned so that the thigh is up, with outlines."""

    def __init__(self, exposure: Exposure, bones: dict[str, Mesh], frame: np.ndarray) -> None:
        self.name, self.bones = exposure.view.name, bones
        small = _cropped(exposure, bones)
        turns = _turns_upright(small.view, frame)
        for _ in range(turns):
            small = _turned(small)
        self.name += f", turned {90 * turns}\N{DEGREE SIGN}" if turns else ""
        self.view, self.image, self.valid = small.view, small.line_integral, small.valid
        columns, rows = self.view.size
        across, down = self.view.pixel_spacing
        self.aspect = columns * across / (rows * down)

    def draw(self, axes: Axes) -> None:
        image = _sharpened(self.image, self.valid)
        low, high = self._window(image)
        columns, rows = self.view.size
        across, down = self.view.pixel_spacing
        axes.set_facecolor("black")
        axes.imshow(
            np.where(self.valid, image, low),
            cmap="gray",
            vmin=low,
            vmax=high,
            aspect=down / across,
            interpolation="bilinear",
        )
        for bone, mesh in self.bones.items():
            self._outline(axes, mesh, COLOURS[bone])
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
        _frame(axes, f"radiograph, {self.name}")

    def _window(self, image: np.ndarray) -> tuple[float, float]:
        """Grey values for black and white: set by the bones and the flesh beside them, not by air,
        metal or the collimator."""
        near = np.zeros(image.shape, dtype=bool)
        for mesh in self.bones.values():
            near |= silhouette(mesh.vertices, mesh.faces, self.view)
        near = ndimage.maximum_filter(near, size=max(image.shape) // 15) & self.valid
        low, high = np.percentile(image[near] if near.any() else image, (1.0, 99.5))
        # Flesh is not black: air is.
        return float(low - 0.3 * (high - low)), float(high)

    def _outline(self, axes: Axes, mesh: Mesh, colour: tuple[float, float, float]) -> None:
        """The outline of the bone's projection, from a mask of four samples per pixel."""
        fine = _with_pixels(self.view, 0.5, (-0.25, -0.25), tuple(2 * n for n in self.view.size))
        mask = ndimage.gaussian_filter(
            silhouette(mesh.vertices, mesh.faces, fine).astype(np.float32), 1.2, mode="nearest"
        )
        if not (mask > 0.5).any():
            return
        x = np.arange(mask.shape[1]) / 2 - 0.25
        y = np.arange(mask.shape[0]) / 2 - 0.25
        axes.contour(x, y, mask, [0.5], colors=[colour], linewidths=1.2 * 72 / _DPI * 1.4)


def _sharpened(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The image with its slow changes halved, as workstations show radiographs: thick and thin
    parts of the leg then fit one window."""
    width = 0.06 * max(image.shape)
    weight = np.maximum(ndimage.gaussian_filter(valid.astype(np.float32), width), 1e-3)
    slow = ndimage.gaussian_filter(np.where(valid, image, 0), width) / weight
    return image - 0.5 * slow


def _cropped(exposure: Exposure, bones: dict[str, Mesh]) -> Exposure:
    """The part of a radiograph around the bones, averaged down to a size fit for a picture."""
    points = np.concatenate([mesh.vertices for mesh in bones.values()])
    middle = bounding_box(points).mean(axis=0)
    view = exposure.view
    low, high = _around(view, points)
    longer = max((high - low) * view.pixel_size(float(view.depths(middle))))
    small = exposure.reduced(longer / _LARGEST, middle)
    low, high = _around(small.view, points)
    columns, rows = (int(n) for n in high - low)
    cut = (slice(low[1], high[1]), slice(low[0], high[0]))
    return Exposure(
        _with_pixels(small.view, 1.0, (low[0], low[1]), (columns, rows)),
        small.line_integral[cut], small.valid[cut],
    )  # fmt: skip


def _turns_upright(view: View, frame: np.ndarray) -> int:
    """How many quarter turns (counter-clockwise) bring the thigh up."""
    low, high = view.project(np.array([[0, 0, -30.0, 1], [0, 0, 30.0, 1]]) @ frame[:3].T)
    up = (high - low) * view.pixel_spacing
    return int(np.argmax([-up[1], up[0], up[1], -up[0]]))


def _turned(exposure: Exposure) -> Exposure:
    """The same radiograph, turned counter-clockwise by a quarter turn."""
    view = exposure.view
    columns, rows = view.size
    turned = replace(
        view,
        detector_origin=view.points_on_detector(np.array([columns - 1.0, 0.0])),
        column_direction=view.row_direction,
        row_direction=-view.column_direction,
        pixel_spacing=view.pixel_spacing[::-1],
        size=(rows, columns),
    )
    return Exposure(turned, np.rot90(exposure.line_integral), np.rot90(exposure.valid))


def _around(view: View, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last-but-one (column, row) of the points' shadow with a margin of an eighth."""
    image_points = view.project(points)
    low, high = np.nanmin(image_points, axis=0), np.nanmax(image_points, axis=0)
    room = 0.125 * (high - low).max()
    low = np.clip(np.floor(low - room), 0, np.array(view.size) - 8).astype(int)
    high = np.clip(np.ceil(high + room), low + 8, view.size).astype(int)
    return low, high


def _with_pixels(
    view: View, scale: float, first: tuple[float, float], size: tuple[int, int]
) -> View:
    """The same detector plane with pixels ``scale`` as large, the first one centred on the image
    point ``first``."""
    return replace(
        view,
        detector_origin=view.points_on_detector(np.array(first, dtype=np.float64)),
        pixel_spacing=tuple(scale * spacing for spacing in view.pixel_spacing),
        size=size,
    )


def _frame(axes: Axes, name: str) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="#c4cbd2", linewidth=0.8)
    axes.set_title(name, loc="left", fontsize=9.5, color=_FAINT, pad=4)


def _scale_bar(axes: Axes, extent: tuple[float, float, float, float]) -> None:
    """A bar of 50 mm in the lower left corner."""
    width = extent[1] - extent[0]
    x, y = extent[0] + 0.04 * width, extent[2] + 0.04 * width
    axes.plot([x, x + _BAR_MM], [y, y], color=_INK, lw=2.2, solid_capstyle="butt", zorder=4)
    axes.text(
        x + _BAR_MM / 2, y + 0.012 * width, f"{_BAR_MM} mm", color=_INK, fontsize=8.5, ha="center",
        va="bottom", zorder=4,
    )  # fmt: skip
