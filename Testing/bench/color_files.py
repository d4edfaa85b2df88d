"""The colour tables that Slicer ships as files and the ``slicer-core`` wheel leaves out.

Only those that nodes refer to by default: models take Viridis, label maps GenericColors.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np

#: Colours at equal distances along each map; those between are interpolated.
_MAPS = {
    "Viridis": "440154 472D7B 3B528B 2C728E 21918C 28AE80 5EC962 ADDC30 FDE725",
    "Plasma": "0D0887 4C02A1 7E03A8 AA2395 CC4778 E66C5C F89540 FDC527 F0F921",
    "Inferno": "000004 210C4A 57106E 8A226A BC3754 E45A31 F98E09 F9CB35 FCFFA4",
    "Magma": "000004 1D1147 51127C 832681 B73779 E75263 FC8961 FEC488 FCFDBF",
}

#: The golden ratio's share of a turn: neighbouring labels get distant hues.
_HUE_STEP = 0.381966
_LABELS = 64


def write(folder: Path) -> None:
    """Write the tables into Slicer's folder of colour files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, colours in _MAPS.items():
        _write(folder / f"{name}.txt", ((str(i), c) for i, c in enumerate(_interpolated(colours))))
    _write(folder / "GenericColors.txt", _labels())


def _interpolated(colours: str) -> np.ndarray:
    anchors = np.array([list(bytes.fromhex(colour)) for colour in colours.split()])
    places = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), places, anchors[:, c]) for c in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(int)


def _labels():
    for label in range(1, _LABELS):
        colour = colorsys.hsv_to_rgb(label * _HUE_STEP % 1, 0.75, 0.9)
        yield f"region_{label}", [round(255 * channel) for channel in colour]


def _write(path: Path, colours) -> None:
    first = 0
    lines = []
    if path.stem == "GenericColors":
        lines, first = ["0 background 0 0 0 0"], 1
    for index, (name, (red, green, blue)) in enumerate(colours, start=first):
        lines.append(f"{index} {name} {red} {green} {blue} 255")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
