"""A CT of the ball knee: bone in air on a grid that lies askew, of a left or a right knee."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.surfaces.mesh import Mesh
from Testing.support.ball_knee import BALLS, ball, distances
from Testing.support.projection_truth import rotation

#: A voxel grid that lies askew: (i, j, k) size, spacing in mm.
SIZE, SPACING = np.array([130, 150, 105]), np.array([1.5, 1.2, 1.8])
PLACE = np.array([-150.0, 40.0, 700.0])
BONE_HU = 1200


def posed(side: str) -> np.ndarray:
    """World of the ball knee's frame, 4x4: a right knee is the mirror image of a left one."""
    pose = np.diag([-1.0 if side == "R" else 1.0, 1.0, 1.0, 1.0])
    pose[:3, 3] = PLACE
    return pose


def ball_ct(side: str) -> sitk.Image:
    """Balls of bone in air, Hounsfield units, on an oblique and anisotropic grid."""
    direction = rotation((1, -1, 2), 15)
    image = sitk.Image([int(n) for n in SIZE], sitk.sitkInt16)
    image.SetSpacing(SPACING.tolist())
    image.SetDirection(direction.ravel().tolist())
    middle = np.array([0.0, -5.0, 5.0]) @ posed(side)[:3, :3].T + PLACE
    image.SetOrigin((middle - direction @ (SPACING * (SIZE - 1) / 2)).tolist())
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SIZE[::-1]), indexing="ij"), -1)
    world = index[..., ::-1] * SPACING @ direction.T + np.array(image.GetOrigin())
    depth = distances(((world - PLACE) @ posed(side)[:3, :3]).reshape(-1, 3)).max(axis=1)
    share = np.clip(depth + 0.5, 0, 1).reshape(SIZE[::-1])
    filled = sitk.GetImageFromArray(np.rint(share * (BONE_HU + 1000) - 1000).astype(np.int16))
    filled.CopyInformation(image)
    return filled


def write_series(image: sitk.Image, folder: Path, uid: str = "1.2.3.4", **tags: str) -> list[Path]:
    """A CT as DICOM, a file per slice.

    Args:
        image: Hounsfield units.
        folder: where; made if it is not there.
        uid: of the series; file names begin with it.
        tags: further ones, by "_gggg_eeee".
    """
    folder.mkdir(exist_ok=True)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    paths = []
    for k in range(image.GetDepth()):
        part = image[:, :, k]
        position = image.TransformIndexToPhysicalPoint((0, 0, k))
        every = {
            "0008|0060": "CT", "0020|000d": "1.2.3", "0020|000e": uid,
            "0020|0013": str(k), "0008|0018": f"{uid}.{k + 1}",
            "0020|0032": "\\".join(f"{x:.6f}" for x in position),
            "0020|0037": "\\".join(f"{x:.8f}" for x in direction[:, :2].T.ravel()),
            **{tag[1:].replace("_", "|"): value for tag, value in tags.items()},
        }  # fmt: skip
        for tag, value in every.items():
            part.SetMetaData(tag, value)
        paths.append(folder / f"{uid}-{k:03d}.dcm")
        writer.SetFileName(str(paths[-1]))
        writer.Execute(part)
    return paths


def ball_meshes(side: str) -> dict[str, Mesh]:
    return {bone: ball(*BALLS[bone]).transformed(posed(side)) for bone in BONES}
