"""A knee of four balls, and a stand-in for the networks that knows it: for tests of everything
around the networks, which then take seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK
from vtkmodules.vtkFiltersSources import vtkSphereSource

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.geometry.virtual_cameras import (
    FRAME_POINTS,
    REACH,
    Framing,
    frame_cameras,
    pixel_grid,
)
from SSRKDLib.models.interface import BoneField
from SSRKDLib.radiographs.exposure import Source, with_sources
from SSRKDLib.radiographs.rig_file import write_rig
from SSRKDLib.surfaces.mesh import Mesh, from_polydata

#: Centre and radius of each bone, mm, canonical frame (which is the rig's).
BALLS = {
    "patella": ((0.0, -50.0, 12.0), 14.0),
    "femur": ((0.0, 0.0, 38.0), 32.0),
    "fibula": ((40.0, 14.0, -44.0), 10.0),
    "tibia": ((0.0, 0.0, -38.0), 30.0),
}


class BallModel:
    """Answers as networks would that see the balls, whatever the radiographs show."""

    name, device, surface = "balls", "cpu", "field"
    manifest = {"title": "Balls", "sha256": "0" * 64}  # noqa: RUF012
    framing = Framing()

    def __init__(self, rig: Rig) -> None:
        self._views = rig.views

    @property
    def finder(self) -> BallModel:
        return self

    def watched(self, before: object) -> BallModel:
        return self

    def locate(self, images: np.ndarray) -> np.ndarray:
        cameras = self._cameras(self.framing.wide_pixels, self.framing.wide_pixel_mm)
        return np.stack([camera.view.project(FRAME_POINTS) for camera in cameras])

    def segment(self, images: np.ndarray) -> np.ndarray:
        cameras = self._cameras(self.framing.near_pixels, self.framing.near_pixel_mm)
        return np.stack(
            [
                np.stack([ball_path(camera.view, bone) > 0 for bone in BONES]).astype(np.float32)
                for camera in cameras
            ]
        )

    def read(self, radiographs: object) -> BoneField:
        return BoneField(distances, "metric", -REACH, REACH)

    def _cameras(self, pixels: int, pixel_mm: float):
        return frame_cameras(self._views, np.eye(4), pixels, pixel_mm)


def distances(points: np.ndarray) -> np.ndarray:
    """Signed distances ``[N, 4]`` mm to the balls, positive inside."""
    return np.stack(
        [radius - np.linalg.norm(points - np.array(centre), axis=1)
         for centre, radius in (BALLS[bone] for bone in BONES)], axis=1,
    ).astype(np.float32)  # fmt: skip


def ball(centre: tuple[float, float, float], radius: float) -> Mesh:
    """A closed surface of some 7000 triangles."""
    source = vtkSphereSource()
    source.SetThetaResolution(60)
    source.SetPhiResolution(60)
    source.SetRadius(radius)
    source.Update()
    mesh = from_polydata(source.GetOutput())
    return Mesh(mesh.vertices + np.array(centre), mesh.faces)


def ball_path(view: View, bone: str) -> np.ndarray:
    """Length of each pixel's ray inside a bone's ball, ``[rows, columns]`` mm."""
    centre, radius = BALLS[bone]
    rays = view.rays(pixel_grid(view))
    towards = np.array(centre) - view.source
    past = (towards**2).sum() - (rays @ towards) ** 2
    return 2 * np.sqrt(np.clip(radius**2 - past, 0, None))


def write_ball_case(folder: Path) -> Path:
    """Two radiographs and their ``rig.json`` in a folder; returns the rig's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rig = orthogonal(pixels=64)
    sources = []
    for view in rig.views:
        image = sum(0.03 * ball_path(view, bone) for bone in BONES) + 0.2
        image += 0.01 * np.random.default_rng(len(sources)).standard_normal(image.shape)
        write_image(folder / f"{view.name}.nrrd", image)
        sources.append(Source(f"{view.name}.nrrd"))
    write_rig(with_sources(rig, sources), folder / "rig.json")
    return folder / "rig.json"


def write_image(path: Path, image: np.ndarray) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image.astype(np.float32)), str(path))
