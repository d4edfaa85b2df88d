"""The isosurfaces of a model's field."""

from __future__ import annotations

from dataclasses import dataclass

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.messages import Message
from SSRKDLib.models.interface import BoneField
from SSRKDLib.reconstruction.field import EmptyRegionError, evaluate
from SSRKDLib.reconstruction.isosurface import extract
from SSRKDLib.reconstruction.region import Margin
from SSRKDLib.reconstruction.stages import Stages
from SSRKDLib.surfaces.mesh import Mesh


@dataclass(frozen=True, eq=False)
class FieldBones:
    """What the field delivers.

    Attributes:
        bones: surfaces, canonical coordinates, mm.
        visited, total: nodes of the grid that were evaluated, and that there are.
    """

    bones: dict[str, Mesh]
    visited: int
    total: int


def extract_bones(field: BoneField, region: Margin, spacing: float, stages: Stages) -> FieldBones:
    """Evaluate a field and extract its bones.

    Args:
        field: of two located radiographs.
        region: see :func:`SSRKDLib.reconstruction.region.region_margin`.
        spacing: of the grid, mm.
        stages: receives progress.

    Raises:
        ImageError: the region is empty, or the field knows no bone in it.
    """
    with stages.stage("field", 0.5, "Evaluating the bones' field"):
        try:
            grid = evaluate(
                field.query,
                field.low,
                field.high,
                spacing,
                band=field.band,
                progress=lambda share: stages.report("field", 0.5 + 0.3 * share),
                inside=lambda points: region(points) > 0,
            )
        except EmptyRegionError as error:
            raise no_knee("No place lies in the exposed fields of both radiographs.") from error
    bones: dict[str, Mesh] = {}
    with stages.stage("surface", 0.8, "Extracting surfaces"):
        for k, bone in enumerate(BONES):
            stages.report("surface", 0.8 + 0.04 * k, Message("Extracting the {bone}", bone=bone))
            mesh = extract(grid, k, clip=region)
            if mesh is not None:
                bones[bone] = mesh
    if not bones:
        raise no_knee("No bone was found in the radiographs.")
    return FieldBones(bones, grid.visited, grid.total)


def no_knee(cause: str) -> ImageError:
    """The error of radiographs in which no bone is found."""
    return ImageError(
        cause,
        "Check that they show a knee, and the distances, the pixel spacing (mm) and the directions "
        "of the views.",
    )
