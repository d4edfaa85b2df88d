"""Which of Slicer's readers takes a file, by its name."""

from __future__ import annotations

#: Longer endings first, where one ends like another.
_ENDINGS = {
    "SegmentationFile": (".seg.nrrd", ".seg.nhdr", ".seg.vtm"),
    "MarkupsFile": (".mrk.json", ".fcsv"),
    "SceneFile": (".mrml", ".mrb"),
    "VolumeFile": (
        ".nii.gz", ".nrrd", ".nhdr", ".nii", ".mha", ".mhd", ".png", ".jpg", ".jpeg", ".tif",
        ".tiff", ".bmp", ".dcm", ".mgz", ".hdr",
    ),
    "ModelFile": (".vtk", ".vtp", ".stl", ".ply", ".obj"),
    "TableFile": (".csv", ".tsv"),
    "TransformFile": (".h5", ".tfm"),
    "ColorTableFile": (".ctbl", ".cxml"),
    "TextFile": (".txt", ".json", ".xml"),
}  # fmt: skip

#: Pictures, which Slicer reads with ITK's readers that ``slicer-core`` lacks.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def of_file(name) -> str:
    """Slicer's file type, ``NoFile`` if none fits."""
    name = str(name).lower()
    for kind, endings in _ENDINGS.items():
        if name.endswith(endings):
            return kind
    return "NoFile"


def ending(name) -> str:
    """The known ending of a name, such as ``.nii.gz``, else what follows the last dot."""
    name = str(name).lower()
    known = (known for endings in _ENDINGS.values() for known in endings)
    fitting = sorted((known for known in known if name.endswith(known)), key=len)
    return fitting[-1] if fitting else "." + name.rpartition(".")[2]
