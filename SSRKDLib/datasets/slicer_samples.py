"""The samples of Slicer's Sample Data module: two virtual knees, made here and shipped as files.

Both are people that the default weights never saw (held out, LLP26), filled with tissue by the
voxel simulator. Making them again gives the same pictures, but not on every machine the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES, COLOURS, LABELS
from SSRKDLib.core.boxes import bounding_box, box_corners
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.core.progress import Reporter
from SSRKDLib.core.terminology import slicer_entry
from SSRKDLib.ct.hounsfield import to_hounsfield
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.images.writing import write_image
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh

#: Every sample file starts with it: Slicer keeps all samples of all modules in one folder.
PREFIX = "SSRKD_"

#: The true bones of the radiographs are cut this far above and below the joint, mm.
TRUTH_REACH = 150.0

#: The CT: of which person, of tissue of which seed, at which energy (a beam of 120 kV), keV.
_PERSON, _SEED, _ENERGY = 23, 3, 70.0
#: Where its joint lies, as a right knee does in a scanner, LPS mm; its extent along z, mm.
CT_JOINT = np.array([-92.0, 14.0, -38.0])
_LENGTH = 244.0
#: Voxel edge, free space beside the skin, the scanner's blur (standard deviation), mm; step of the
#: grey values, HU.
_VOXEL, _MARGIN, _BLUR, _STEP = 1.25, 5.0, 0.45, 5.0

#: Thumbnails: (columns, rows) of each half, and the millimetres in a pixel.
_HALF, _PIXEL = (96, 128), 1.3


def write_radiograph_sample(folder: Path, report: Reporter) -> None:
    """Two DICOM radiographs of a left knee, its true bones, and a thumbnail.

    Args:
        folder: gets ``SSRKD_frontal.dcm``, ``SSRKD_lateral.dcm`` (512 x 512, RLE lossless),
            ``SSRKD_truth_<bone>.ply`` (LPS mm) and ``SSRKD_radiographs.png``.
        report: called with what is being done.

    Raises:
        OutputError: the folder cannot be written.
    """
    import tempfile

    from SSRKDLib.datasets.demo_cases import demo_cases
    from SSRKDLib.radiographs.reading import read_radiograph

    case = next(case for case in demo_cases() if case.needs is None)
    with tempfile.TemporaryDirectory() as scratch:
        rig, bones = case.prepare(Path(scratch), report)
        for number, (view, image) in enumerate(zip(rig.views, rig.images), start=1):
            compress_dicom(Path(image), folder / f"{PREFIX}{view.name}.dcm", number)
    joint = joint_centre(bones)
    box = np.array([[-np.inf, -np.inf, joint[2] - TRUTH_REACH], [np.inf] * 3])
    box[1, 2] = joint[2] + TRUTH_REACH
    for bone in BONES:
        write_mesh(folder / f"{PREFIX}truth_{bone}.ply", bones[bone].clipped(box))
    halves, middle = [], _middle(bones, joint)
    for view in rig.views:
        film = read_radiograph(folder / f"{PREFIX}{view.name}.dcm").pixels
        # The slow changes halved, as workstations do: thick and thin parts then fit one window.
        film = film - 0.5 * ndimage.gaussian_filter(film, 30)
        depth = float((view.projection_matrix @ [*middle, 1.0])[2])
        step = _PIXEL / (view.pixel_spacing[0] * depth)
        half = _thumbnail_half(film, view.project(middle[None])[0][::-1], step)
        low, high = np.percentile(half, (15, 99.9))
        halves.append(np.repeat(np.clip((half - low) / (high - low), 0, 1)[..., None], 3, axis=2))
    write_image(folder / f"{PREFIX}radiographs.png", _bytes(np.hstack(halves)))


def compress_dicom(source: Path, target: Path, number: int) -> None:
    """Rewrite a DICOM radiograph in RLE lossless, as a series of its own with UIDs of its own.

    Slicer stacks the files of one series that lie in one folder into one volume. The UIDs come from
    the patient ID and the number, so that they stay when the file is made again.

    Args:
        source: uncompressed.
        target: file to write.
        number: of the series.

    Raises:
        OutputError: the file cannot be written.
    """
    import pydicom
    from pydicom.uid import RLELossless, generate_uid

    dataset = pydicom.dcmread(source)
    dataset.compress(RLELossless, generate_instance_uid=False)
    content = ["SSRKD", "sample", str(dataset.PatientID), str(number)]
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[*content, "series"])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[*content, "instance"])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SeriesNumber = number
    dataset.SeriesDescription = f"Knee, {target.stem.removeprefix(PREFIX)} (virtual)"
    try:
        dataset.save_as(target, enforce_file_format=True)
    except OSError as error:
        raise cannot_write(target, error) from error


def write_ct_sample(folder: Path, report: Reporter) -> None:
    """A CT of a right knee, the true segmentation, and a thumbnail.

    Args:
        folder: gets ``SSRKD_CT.nrrd`` (Hounsfield units), ``SSRKD_CT.seg.nrrd`` and
            ``SSRKD_CT.png``.
        report: called with what is being done.

    Raises:
        OutputError: the folder cannot be written.
    """
    bones = {bone: mesh.transformed(MIRROR) for bone, mesh in load_person(_PERSON).items()}
    shift = np.eye(4)
    shift[:3, 3] = CT_JOINT - joint_centre(bones)
    bones = {bone: mesh.transformed(shift) for bone, mesh in bones.items()}
    report("filling a leg of voxels around the bones")
    hounsfield, affine = _scan(bones)
    report("labelling the bones")
    labels = label_bones(bones, affine, hounsfield.shape)
    write_image(folder / f"{PREFIX}CT.nrrd", hounsfield, affine)
    write_segmentation(folder / f"{PREFIX}CT.seg.nrrd", labels, affine, "R")
    # Coronal through the joint; sagittal through the patella.
    to_index = np.linalg.inv(affine)[:3]
    i, j, k = to_index @ [*_middle(bones, CT_JOINT), 1.0]
    coronal = round(to_index[1] @ [*CT_JOINT, 1.0])
    sagittal = round(np.argwhere(labels == LABELS["patella"])[:, 2].mean())
    down = slice(None, None, -1)
    halves = [
        _coloured(hounsfield[where], labels[where], (len(labels) - 1 - k, column))
        for where, column in (((down, coronal), i), ((down, slice(None), sagittal), j))
    ]
    write_image(folder / f"{PREFIX}CT.png", _bytes(np.hstack(halves)))


def _scan(bones: Mapping[str, Mesh]) -> tuple[np.ndarray, np.ndarray]:
    """A leg around the bones as a scanner stores it: int16 HU ``[k, j, i]`` on a grid along the LPS
    axes, cropped to the skin, and the grid's index to LPS."""
    from SSRKDLib.simulation.voxel_phantom import voxel_knee

    # The leg lies obliquely in the scanner: 20 mm more of it at both ends fill the corners.
    rng = np.random.default_rng(_SEED)
    leg = voxel_knee(bones, rng, 1.0, _LENGTH / 2 + 20, energy=_ENERGY)
    fine = ndimage.gaussian_filter(to_hounsfield(leg.values.numpy(), _ENERGY), _BLUR)
    corners = box_corners([[0, 0, 0], np.array(fine.shape[::-1]) - 1])
    corners = corners @ leg.index_to_world[:3, :3].T + leg.index_to_world[:3, 3]
    low, high = bounding_box(corners)
    low[2], high[2] = CT_JOINT[2] - _LENGTH / 2, CT_JOINT[2] + _LENGTH / 2
    affine = np.diag([_VOXEL, _VOXEL, _VOXEL, 1.0])
    affine[:3, 3] = np.round(low, 2)
    shape = tuple(int(n) for n in np.ceil((high - low) / _VOXEL)[::-1])
    to_fine = np.linalg.inv(leg.index_to_world) @ affine
    turned = to_fine[[2, 1, 0]][:, [2, 1, 0, 3]]  # the same, of indices in the order of the arrays
    coarse = ndimage.affine_transform(
        fine, turned[:, :3], turned[:, 3], shape, order=1, cval=-1000.0
    )
    room = round(_MARGIN / _VOXEL)
    skin = ndimage.binary_dilation((coarse > -900).any(0), np.ones((3, 3)), room)
    rows, columns = ndimage.find_objects(skin.astype(np.uint8))[0]
    affine[:3, 3] += _VOXEL * np.array([columns.start, rows.start, 0])
    return (_STEP * np.rint(coarse[:, rows, columns] / _STEP)).astype(np.int16), affine


def label_bones(
    bones: Mapping[str, Mesh], affine: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray:
    """Which bone each voxel belongs to, by half of its volume: uint8 ``[k, j, i]``.

    Args:
        bones: surfaces, mm; closed, or open where they leave the grid.
        affine: index to the surfaces' frame: cubes along its axes.
        shape: of the grid, (k, j, i).
    """
    from SSRKDLib.surfaces.voxelise import coverage

    labels = np.zeros(shape, np.uint8)
    for bone, mesh in bones.items():
        share, box = coverage(mesh.vertices, mesh.faces, affine[:3, 3], affine[0, 0], shape)
        labels[box.slices][share >= 0.5] = LABELS[bone]
    return labels


def write_segmentation(
    path: Path, labels: np.ndarray, index_to_lps: np.ndarray, laterality: str
) -> None:
    """Write a label map as Slicer's ``.seg.nrrd``: segments with names, colours and terminology.

    Args:
        path: ends in ``.seg.nrrd``.
        labels: uint8 ``[k, j, i]``, values as in :data:`~SSRKDLib.core.anatomy.LABELS`.
        index_to_lps: 4x4, (i, j, k) to LPS mm.
        laterality: "L" or "R".

    Raises:
        OutputError: the file cannot be written.
    """
    entries = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    windows = ndimage.find_objects(labels, max_label=len(BONES))
    for number, bone in enumerate(bone for bone in BONES if windows[LABELS[bone] - 1]):
        window, name = windows[LABELS[bone] - 1], bone.capitalize()
        segment = {
            "ID": name,
            "Name": name,
            "NameAutoGenerated": "0",
            "Color": " ".join(f"{part:g}" for part in COLOURS[bone]),
            "ColorAutoGenerated": "0",
            "LabelValue": str(LABELS[bone]),
            "Layer": "0",
            "Extent": " ".join(f"{part.start} {part.stop - 1}" for part in reversed(window)),
            "Tags": f"TerminologyEntry:{slicer_entry(bone, laterality)}|",
        }
        entries.update({f"Segment{number}_{key}": value for key, value in segment.items()})
    write_image(path, labels, index_to_lps, entries=entries)


def _middle(bones: Mapping[str, Mesh], joint: np.ndarray) -> np.ndarray:
    """The middle of what a thumbnail shows of the bones, ``(3,)`` mm."""
    points = np.concatenate([mesh.vertices for mesh in bones.values()])
    points = points[np.abs(points - joint)[:, 2] < 60]
    return bounding_box(points).mean(axis=0)


def _coloured(hounsfield: np.ndarray, labels: np.ndarray, middle: tuple) -> np.ndarray:
    """Half a thumbnail of a slice (row 0 at the top): grey with the bones in their colours."""
    grey = np.clip((hounsfield.astype(np.float32) + 220) / 1100, 0, 1)
    picture = np.repeat(grey[..., None], 3, axis=2)
    for bone in BONES:
        paint = 0.45 * np.array(COLOURS[bone]) + 0.55 * grey[..., None]
        picture = np.where((labels == LABELS[bone])[..., None], paint, picture)
    step = _PIXEL / _VOXEL
    return np.stack([_thumbnail_half(p, middle, step) for p in np.moveaxis(picture, -1, 0)], -1)


def _thumbnail_half(picture: np.ndarray, middle: np.ndarray, step: float) -> np.ndarray:
    """A picture of ``_HALF`` pixels around (row, column) ``middle``, ``step`` pixels apart."""
    row, column = np.indices(_HALF[::-1]) - (np.array(_HALF[::-1]) - 1)[:, None, None] / 2
    smooth = ndimage.gaussian_filter(picture, max(step - 1, 0.3) / 2)
    places = np.stack([middle[0] + step * row, middle[1] + step * column])
    return ndimage.map_coordinates(smooth, places, order=1, mode="nearest")


def _bytes(picture: np.ndarray) -> np.ndarray:
    """sRGB ``[rows, columns, 3]``, 0..1, as uint8."""
    return (255 * picture).round().astype(np.uint8)
