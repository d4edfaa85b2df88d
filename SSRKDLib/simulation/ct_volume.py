"""A CT scan as a volume of attenuation."""

from __future__ import annotations

from pathlib import Path

import torch

from SSRKDLib.ct.hounsfield import DEFAULT_ENERGY, from_hounsfield
from SSRKDLib.ct.reading import read_scan
from SSRKDLib.simulation.joseph import Volume


def read_ct(path: str | Path, energy: float = DEFAULT_ENERGY) -> Volume:
    """Read a CT in Hounsfield units: NIfTI, NRRD, MetaImage, or a folder with a DICOM series.

    Args:
        path: the file, or the folder; of several series the one with most slices is taken.
        energy: effective photon energy of the radiographs to make, keV.

    Returns:
        Attenuation in 1/mm, ``[k, j, i]``, with the scan's affine in LPS mm.

    Raises:
        ImageError: see :func:`~SSRKDLib.ct.reading.read_scan`.
    """
    scan = read_scan(path)
    return Volume(torch.from_numpy(from_hounsfield(scan.hounsfield, energy)), scan.index_to_lps)
