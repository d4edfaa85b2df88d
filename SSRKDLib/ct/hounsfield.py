"""Linear attenuation of the leg's tissues at one photon energy, 1/mm.

Mass attenuation coefficients: J. H. Hubbell and S. M. Seltzer, "Tables of X-Ray Mass Attenuation
Coefficients and Mass Energy-Absorption Coefficients", NIST Standard Reference Database 126
(1995, 2004), table 4 (coherent scattering included); tissue compositions and densities there are
ICRU Report 44's. A knee radiograph (60 to 70 kV, 100 to 125 kV with a grid) behaves like a beam of
50 to 70 keV.
"""

from __future__ import annotations

import numpy as np

#: Photon energies of the tables, keV.
_ENERGIES = (40.0, 50.0, 60.0, 80.0, 100.0)
#: Mass attenuation at those energies, cm^2/g, and density, g/cm^3.
_TABLES: dict[str, tuple[tuple[float, ...], float]] = {
    "water": ((0.2683, 0.2269, 0.2059, 0.1837, 0.1707), 1.00),
    "adipose": ((0.2396, 0.2123, 0.1974, 0.1800, 0.1688), 0.95),
    "muscle": ((0.2685, 0.2262, 0.2048, 0.1823, 0.1693), 1.05),
    "cortical_bone": ((0.6655, 0.4242, 0.3148, 0.2229, 0.1855), 1.92),
}
#: Tissues that differ from a tabulated one in density only: table, density in g/cm^3
#: (densities: ICRU Report 46; tendon and cartilage as dense soft tissue).
_LIKE: dict[str, tuple[str, float]] = {
    "skin": ("muscle", 1.09),
    "tendon": ("muscle", 1.12),
    "cartilage": ("muscle", 1.10),
    "yellow_marrow": ("adipose", 0.98),
    "red_marrow": ("muscle", 1.03),
}
#: Names that :func:`attenuation` takes.
TISSUES: tuple[str, ...] = (*_TABLES, *_LIKE)
#: Air's CT number, the least there is: scanners fill what they do not see with less.
AIR_HU = -1000.0
#: Effective energy assumed where none is given, keV.
DEFAULT_ENERGY = 60.0


def attenuation(tissue: str, energy: float = DEFAULT_ENERGY) -> float:
    """Linear attenuation in 1/mm, interpolated in log-log between tabulated energies.

    At 60 keV: water 0.02059, fat 0.01875, muscle 0.02150, cortical bone 0.06044.

    Args:
        tissue: one of :data:`TISSUES`.
        energy: effective photon energy, 40 to 100 keV.

    Raises:
        ValueError: unknown tissue, or energy outside the tables.
    """
    if tissue not in TISSUES:
        raise ValueError(f"'{tissue}' is not one of {', '.join(TISSUES)}")
    if not _ENERGIES[0] <= energy <= _ENERGIES[-1]:
        raise ValueError(f"{energy:g} keV is outside {_ENERGIES[0]:g} to {_ENERGIES[-1]:g} keV")
    table, density = _LIKE.get(tissue, (tissue, None))
    per_mass, own_density = _TABLES[table]
    value = np.exp(np.interp(np.log(energy), np.log(_ENERGIES), np.log(per_mass)))
    return float(value) * (own_density if density is None else density) / 10


def from_hounsfield(hounsfield: np.ndarray, energy: float = DEFAULT_ENERGY) -> np.ndarray:
    """Attenuation in 1/mm, float32, of CT numbers: water's times (1 + HU / 1000), at least 0.

    Exact at the energy of the CT scan; at another it misses bone's steeper dependence on energy.
    """
    scaled = 1 + np.asarray(hounsfield, dtype=np.float32) / 1000
    return np.clip(scaled * np.float32(attenuation("water", energy)), 0, None)


def to_hounsfield(values: np.ndarray, energy: float = DEFAULT_ENERGY) -> np.ndarray:
    """CT numbers, float32, of attenuation in 1/mm: the inverse of :func:`from_hounsfield`."""
    scaled = np.asarray(values, dtype=np.float32) / np.float32(attenuation("water", energy))
    return 1000 * (scaled - 1)


#: The paper's window, HU: what networks see of a CT.
WINDOW_HU = (-400.0, 500.0)


def windowed(hounsfield: np.ndarray) -> np.ndarray:
    """CT numbers as in the paper's window: 0 at -400 HU and below to 1 at 500 HU and above."""
    low, high = WINDOW_HU
    return np.clip((hounsfield - low) / (high - low), 0, 1)
