"""A CT scan as a volume of attenuation, and back."""

from __future__ import annotations

import torch

from SSRKDLib.ct.hounsfield import DEFAULT_ENERGY, from_hounsfield, to_hounsfield
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.simulation.joseph import Volume


def attenuation_volume(scan: CtScan, energy: float = DEFAULT_ENERGY) -> Volume:
    """Attenuation of a CT in 1/mm, ``[k, j, i]``, with the CT's affine in LPS mm.

    Args:
        scan: the CT.
        energy: effective photon energy of the radiographs to make, keV.
    """
    return Volume(torch.from_numpy(from_hounsfield(scan.hounsfield, energy)), scan.index_to_lps)


def simulated_scan(volume: Volume, energy: float = DEFAULT_ENERGY) -> CtScan:
    """The CT that shows a volume: float32 Hounsfield units, without noise.

    Args:
        volume: attenuation, 1/mm, in patient LPS mm.
        energy: that the volume's attenuation holds for, keV.
    """
    return CtScan(to_hounsfield(volume.values.numpy(), energy), volume.index_to_world)
