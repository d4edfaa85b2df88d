"""From a CT, with bone surfaces or without, to one case on disk."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.boxes import bounding_box, box_corners
from SSRKDLib.core.errors import ImageError, InputError, MeshError
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.ct.grid import CtGrid
from SSRKDLib.ct.hounsfield import AIR_HU, DEFAULT_ENERGY, from_hounsfield, windowed
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.datasets.case_folder import PREPARED_CASE, CaseData, write_case
from SSRKDLib.datasets.case_frame import CaseFrame, fitting_pixel
from SSRKDLib.datasets.point_sampling import sample_case
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.simulation.writing import check_projector
from SSRKDLib.surfaces import voxelise
from SSRKDLib.surfaces.knee import JOINT_CENTRE, joint_centre
from SSRKDLib.surfaces.mesh import Mesh


@dataclass(frozen=True)
class Settings:
    """How cases are prepared; defaults are the paper's where it has any.

    Attributes:
        size: voxels per edge of the CT that networks take; a finer one has twice as many.
        detector: pixels per edge of the radiographs.
        angles: how many views, spread evenly from 0 to 360 degrees, both ends included.
        extent: edge of the cube around the knee, mm; None: the whole CT.
        surface_points: near each bone's surface.
        uniform_points: anywhere in what the CT shows.
        sod, sdd: source to the cube's middle, and to the detector, mm.
        energy: effective photon energy of ``line_integrals``, keV.
        seed: of the points.
        projector: method of the radiographs, see
            :func:`~SSRKDLib.simulation.projector.project_view`.
    """

    size: int = 256
    detector: int = 512
    angles: int = 37
    extent: float | None = None
    surface_points: int = 25_000
    uniform_points: int = 100_000
    sod: float = 1000.0
    sdd: float = 2000.0
    energy: float = DEFAULT_ENERGY
    seed: int = 0
    projector: str = "joseph"

    def __post_init__(self) -> None:
        limits = {
            "size": (8, 1024), "detector": (8, 4096), "angles": (2, 3601),
            "surface_points": (1, 10**8), "uniform_points": (1, 10**8), "seed": (0, 2**63),
            "sod": (100, 10000), "sdd": (100, 10000), "energy": (40, 100),
        }  # fmt: skip
        if self.extent is not None:
            limits["extent"] = (20, 2000)
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(
                    f"{name.replace('_', ' ').capitalize()} must be {low} to {high} "
                    f"(got {value:g}).",
                )
        check_projector(self.projector)
        if self.sod >= self.sdd:
            raise InputError("The source is beyond the detector.", "Give sod less than sdd.")

    def degrees(self) -> tuple[float, ...]:
        """The views' angles."""
        return tuple(float(angle) for angle in np.linspace(0, 360, self.angles))


@dataclass(frozen=True)
class Scan:
    """What is known of one knee.

    Attributes:
        ct: its CT.
        side: "L", "R" or None (unknown, then nothing is mirrored).
        meshes: the four bones in patient LPS mm, or None.
        centre: where the cube belongs, ``(3,)`` patient LPS mm; None: see :func:`prepare_case`.
    """

    ct: CtScan
    side: str | None = None
    meshes: dict[str, Mesh] | None = None
    centre: np.ndarray | None = None


def prepare_case(
    scan: Scan,
    folder: Path,
    settings: Settings,
    person: str | None = None,
    sex: str | None = None,
) -> None:
    """Make one case; its folder appears when it is whole, and replaces an older one.

    The cube is centred on the CT, or, with ``settings.extent``, on ``scan.centre``, else on the
    joint between the bones, else on the CT. Its axes are the patient's whatever the CT's are;
    beyond the CT there is air. The radiographs see all of the CT that is in the cube.

    Args:
        scan: what to prepare.
        folder: the case's, named after it.
        settings: how.
        person, sex: for the splits; the person is the case where not given.

    Raises:
        MeshError: a bone is missing, or all of them lie outside the CT.
        ImageError: the cube contains nothing of the CT.
        GeometryError: the CT is too large for the sources' distance.
        OutputError: the folder cannot be written.
    """
    import torch

    record = {
        "case": folder.name,
        "person": person or folder.name,
        "side": scan.side,
        "sex": sex,
        "labelled": scan.meshes is not None,
        **({"notes": list(scan.ct.notes)} if scan.ct.notes else {}),
        "joint_centre": JOINT_CENTRE,
        "settings": asdict(settings),
    }
    with replaced_folder(folder, PREPARED_CASE) as fresh:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # cases are what runs in parallel; and sums keep their order
        try:
            data = _case(scan, settings, record)
        finally:
            torch.set_num_threads(threads)
        write_case(fresh, data)


def _case(scan: Scan, settings: Settings, record: dict[str, Any]) -> CaseData:
    if scan.meshes is not None:
        lacking = [bone for bone in BONES if bone not in scan.meshes]
        if lacking:
            raise MeshError(
                f"There is no {lacking[0]} among the bones.",
                "Add it, or leave all bones out: the case is then unlabelled.",
            )
    to_world, half_edge = _cube(scan, settings)
    to_case = np.linalg.inv(to_world)
    box = _seen_box(scan.ct, to_case, half_edge)
    angles = settings.degrees()
    pixel = fitting_pixel(box, angles, settings.sod, settings.sdd, settings.detector)
    frame = CaseFrame(
        half_edge, to_world, angles, settings.sod, settings.sdd, settings.detector, pixel
    )
    volumes, hounsfield = resampled(scan.ct, frame, settings.size)
    how = (frame.index_to_case(2 * settings.size), frame, settings.projector)
    attenuation = from_hounsfield(hounsfield, settings.energy)
    data = CaseData(
        frame=frame,
        record={**record, "box_mm": box.tolist()},
        volumes=volumes,
        projections=_projected(windowed(hounsfield) / 1000, *how),
        line_integrals=_projected(attenuation, *how),
    )
    if scan.meshes is None:
        return data
    meshes = {bone: scan.meshes[bone].transformed(to_case) for bone in BONES}
    shown = {bone: mesh.capped().clipped(box) for bone, mesh in meshes.items()}
    outside = [bone for bone in BONES if not len(shown[bone].faces)]
    if outside:
        raise MeshError(
            f"The {outside[0]} lies outside the CT.", "Give bones in the CT's own frame, LPS mm."
        )
    rng = np.random.default_rng([settings.seed, zlib.crc32(record["case"].encode())])
    points = (settings.surface_points, settings.uniform_points)
    return replace(
        data,
        meshes=shown,
        masks=bone_masks(shown, frame),
        label_map=label_map(shown, frame, 2 * settings.size),
        sampling=sample_case(meshes, frame, box, *points, rng),
    )


def _cube(scan: Scan, settings: Settings) -> tuple[np.ndarray, float]:
    """World mm of case mm, 4x4, and half the cube's edge, mm."""
    corners = _corners(scan.ct)
    centre, edge = corners.mean(axis=0), settings.extent
    if edge is None:
        edge = float(np.ptp(corners, axis=0).max())
    elif scan.centre is not None:
        centre = scan.centre
    elif scan.meshes is not None:
        centre = joint_centre(scan.meshes)
    to_world = np.diag([-1.0 if scan.side == "R" else 1.0, 1.0, 1.0, 1.0])
    # To a nanometre: the last bits depend on how many threads computed them, and the same input
    # makes the same files everywhere.
    to_world[:3, 3] = np.round(centre, 6)
    return to_world, edge / 2


def _corners(ct: CtScan) -> np.ndarray:
    """The outer corners of a CT's voxels, ``[8, 3]`` LPS mm."""
    size = np.array(ct.hounsfield.shape[::-1])
    ends = box_corners(np.stack([np.zeros(3), size]) - 0.5)
    return ends @ ct.index_to_lps[:3, :3].T + ct.index_to_lps[:3, 3]


def _seen_box(ct: CtScan, to_case: np.ndarray, half_edge: float) -> np.ndarray:
    """Lowest and highest corner of what the CT shows of the cube, ``[2, 3]`` case mm."""
    corners = _corners(ct) @ to_case[:3, :3].T + to_case[:3, 3]
    box = np.clip(bounding_box(corners), -half_edge, half_edge)
    if (np.ptp(box, axis=0) <= 0).any():
        raise ImageError("The cube contains nothing of the CT.", "Check that bones and CT fit.")
    return box


def resampled(
    ct: CtScan, frame: CaseFrame, size: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The CT in the case's cube.

    Args:
        ct: the CT.
        frame: the case's.
        size: voxels per edge of the CT that networks take.

    Returns:
        What networks take, uint8, with ``size`` voxels per edge (exactly
        :meth:`CtGrid.network_values <SSRKDLib.ct.grid.CtGrid.network_values>`), and its samples
        with twice as many; and Hounsfield units of the samples, float32, outside the CT those of
        air. All ``[k, j, i]``.
    """
    grid = CtGrid(ct, (size,) * 3, frame.to_world @ frame.index_to_case(size))
    coarse, fine = np.empty((size,) * 3, np.uint8), np.empty((2 * size,) * 3, np.uint8)
    hounsfield = np.empty((2 * size,) * 3, np.float32)
    for part in grid.parts():
        samples = slice(2 * part.planes.start, 2 * part.planes.stop)
        coarse[part.planes] = part.values
        fine[samples] = np.rint(255 * part.window)
        hounsfield[samples] = np.where(part.outside, np.float32(AIR_HU), part.hounsfield)
    return (coarse, fine), hounsfield


def bone_masks(meshes: dict[str, Mesh], frame: CaseFrame) -> np.ndarray:
    """Where each bone is in each view, from its surface: bits as in ``CaseData.masks``."""
    closed = {bone: mesh.capped() for bone, mesh in meshes.items()}
    masks = np.zeros((len(frame.angles), frame.detector, frame.detector), np.uint8)
    for mask, view in zip(masks, frame.views()):
        for k, bone in enumerate(BONES):
            covered = silhouette(closed[bone].vertices, closed[bone].faces, view)
            mask |= covered.astype(np.uint8) << k
    return masks


def label_map(meshes: dict[str, Mesh], frame: CaseFrame, size: int) -> np.ndarray:
    """Which bone each voxel's centre lies in, uint8 ``[k, j, i]``; later bones win."""
    spacing = 2 * frame.half_edge / size
    origin = np.full(3, spacing / 2 - frame.half_edge)
    return voxelise.label_map(meshes, origin, spacing, np.full(3, size))


def _projected(
    values: np.ndarray, affine: np.ndarray, frame: CaseFrame, projector: str
) -> np.ndarray:
    """Line integrals through every view, float32 ``[views, rows, columns]``."""
    import torch

    from SSRKDLib.simulation.joseph import Volume
    from SSRKDLib.simulation.projector import project_view

    volume = Volume(torch.from_numpy(np.ascontiguousarray(values)), affine)
    with torch.no_grad():
        images = [project_view(volume, view, projector=projector) for view in frame.views()]
    return np.stack([image.cpu().numpy() for image in images]).astype(np.float32)
