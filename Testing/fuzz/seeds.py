"""Small good files of every kind, made by code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from SSRKDLib.weights.archive import MANIFEST, read_member
from SSRKDLib.weights.catalogue import find_bundle
from Testing.fuzz.readers import SAMPLES

DAMAGED_CAMERA = Path(__file__).parent / "found" / "calibration" / "159.txt"


#: Lines to the worker, whose tasks are not done.
REQUESTS = {
    "reconstruct": {
        "id": 1, "do": "reconstruct", "rig": "rig.json", "fields": [None, "f.npy"], "masks": None,
        "output": "out", "weights": None, "device": "cpu", "spacing": 1.0, "surface": None,
        "pose": "lateral",
    },
    "simulate": {
        "id": "b", "do": "simulate", "ct": "ct.nrrd", "rig": "rig.json", "output": "out",
        "energy": 60, "noise_free": True, "seed": 1, "projector": "joseph",
    },
    "compare": {
        "id": 3, "do": "compare", "recon": "a", "reference": "b", "output": "out",
        "align": "none", "laterality": "L", "rig": None,
    },
    "cancel": {"cancel": 1},
}  # fmt: skip

#: Readers that take a second, and are asked once in a hundred times.
SLOW = {"bundle", "worker_line"}


def write_seeds(folder: Path, slow: bool = False) -> list[tuple[str, Path]]:
    """The files, each with the name of the reader that is to read it; ``slow``: those of
    :data:`SLOW`, too."""
    made: list[tuple[str, Path]] = []

    def place(reader: str, name: str) -> Path:
        path = folder / f"{len(made):02d}-{name}"
        made.append((reader, path))
        return path

    _images(place)
    _meshes(place)
    rig = _dicoms(place)
    place("rig", "rig.json").write_text(json.dumps(rig, indent=2))
    text = DAMAGED_CAMERA.read_text(encoding="utf-8")
    text = text.replace("\n-1\n", "\n-68.63171619\n")
    place("calibration", "camera.txt").write_text(text)
    splits = {"train": ["a", "b"], "unlabeled": [], "eval": ["c"], "test": ["d"]}
    place("cohort", "info.json").write_text(json.dumps(splits))
    frame = {
        "half_edge_mm": 100.0, "to_world": np.eye(4).tolist(), "angles_degrees": [0.0, 90.0],
        "source_to_centre_mm": 1000.0, "source_to_detector_mm": 2000.0, "detector_pixels": 96,
        "pixel_mm": 5.9,
    }  # fmt: skip
    record = {"version": 1, "box_mm": [[-100.0] * 3, [100.0] * 3], "frame": frame}
    # The reader takes the part before the last dash for the member's name.
    made.append(("case", folder / "case.json-0.json"))
    made[-1][1].write_text(json.dumps(record))
    made.append(("case", folder / "spacing.npz-0.npz"))
    np.savez_compressed(made[-1][1], mesh=np.ones(3), ct=np.ones(3))
    made.append(("checkpoint", folder / "training.ckpt"))
    _checkpoint(made[-1][1])
    for name, one in REQUESTS.items():
        place("request", f"{name}.json").write_text(json.dumps(one))
    if slow:
        place("worker_line", "cancel.json").write_text('{"cancel": 1}')
        manifest = json.loads(read_member(find_bundle(), MANIFEST))
        place("bundle", "bundle.json").write_text(json.dumps({**manifest, "name": "another"}))
    return made


def _images(place) -> None:
    import SimpleITK as sitk

    rng = np.random.default_rng(0)
    film = sitk.GetImageFromArray((rng.random((40, 48)) * 4000).astype(np.uint16))
    for ending in ("png", "tif", "nrrd", "mha", "nii", "nii.gz"):
        sitk.WriteImage(film, str(place("radiograph", f"film.{ending}")), useCompression=True)
    sitk.WriteImage(sitk.Cast(film / 16, sitk.sitkUInt8), str(place("radiograph", "film.jpg")))
    values = (rng.random((24, 24, 24)) * 900 - 900).astype(np.int16)
    scan = sitk.GetImageFromArray(values)
    scan.SetSpacing((4.0, 4.0, 4.0))
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[4:36, 8:32, 8:32] = 2
    bones = sitk.GetImageFromArray(labels)
    bones.SetSpacing((3.0, 3.0, 3.0))
    for ending in ("nrrd", "mha", "nii", "nii.gz"):
        sitk.WriteImage(scan, str(place("ct", f"ct.{ending}")))
        sitk.WriteImage(bones, str(place("label_map", f"knee.{ending}")))
    scan.SetSpacing((0.4, 0.4, 0.4))
    for ending, before, field in (
        ("nrrd", b"space directions", b'space units: "cm" "cm" "cm"\n'),
        ("mha", b"ElementDataFile", b"DistanceUnits = cm\n"),
    ):
        path = place("ct", f"centimetres.{ending}")
        sitk.WriteImage(scan, str(path))
        path.write_bytes(path.read_bytes().replace(before, field + before, 1))


def _meshes(place) -> None:
    from vtkmodules.vtkIOGeometry import vtkSTLWriter
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    from SSRKDLib.surfaces.label_maps import mask_surface
    from SSRKDLib.surfaces.mesh import to_polydata
    from SSRKDLib.surfaces.mesh_files import write_mesh
    from SSRKDLib.surfaces.obj import write_obj

    mask = np.zeros((16, 12, 12), bool)
    mask[2:14, 2:10, 2:10] = True
    surface = mask_surface(mask, np.diag([10.0, 10.0, 10.0, 1.0]))
    write_mesh(place("mesh", "femur.ply"), surface)
    write_obj(place("mesh", "femur.obj"), surface)
    for kind, name in ((vtkSTLWriter, "femur.stl"), (vtkXMLPolyDataWriter, "femur.vtp")):
        writer = kind()
        writer.SetFileName(str(place("mesh", name)))
        writer.SetInputData(to_polydata(surface))
        writer.Write()


def _dicoms(place) -> dict:
    """DICOM radiographs, and the rig of the sample as JSON."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless

    from SSRKDLib.radiographs.rig_file import rig_to_dict
    from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom

    rng = np.random.default_rng(1)
    for name, packed in (("plain.dcm", False), ("packed.dcm", True)):
        dataset = pydicom.dcmread(SAMPLES / "SSRKD_frontal.dcm")
        dataset.Rows, dataset.Columns = 40, 48
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = (rng.random((40, 48)) * 4000).astype("<u2").tobytes()
        if packed:
            dataset.compress(RLELossless)
        dataset.save_as(place("dicom", name))
    return rig_to_dict(rig_from_dicom(SAMPLES / "SSRKD_frontal.dcm", SAMPLES / "SSRKD_lateral.dcm"))


def _checkpoint(path: Path) -> None:
    import torch

    from SSRKDLib.networks.segmenter import Segmenter
    from SSRKDLib.training.checkpoints import ENTRY, FORMAT

    arguments = {"widths": [8, 8]}
    network = {"architecture": "Segmenter", "arguments": arguments, "attribute": "network"}
    state = {f"network.{key}": value for key, value in Segmenter(**arguments).state_dict().items()}
    entry = {
        "format": FORMAT, "task": "x", "steps": 1, "networks": {"segmenter": network},
        "normalisation": {}, "options": {}, "bundle": {}, "about": {},
    }  # fmt: skip
    torch.save({ENTRY: entry, "state_dict": state}, path)
