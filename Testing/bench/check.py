"""Says what the bench needs and this machine lacks."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
from pathlib import Path

#: Shared libraries, and the Debian packages that hold them.
LIBRARIES = {
    "libEGL.so.1": ("libegl1",),
    "libEGL_mesa.so.0": ("libegl-mesa0", "libgl1-mesa-dri"),
    "libGL.so.1": ("libgl1",),
    "libxkbcommon.so.0": ("libxkbcommon0",),
    "libdbus-1.so.3": ("libdbus-1-3",),
    "libfontconfig.so.1": ("libfontconfig1",),
    "libglib-2.0.so.0": ("libglib2.0-0",),
}

#: Python packages, by what is imported, and their names for pip.
PACKAGES = {
    "slicer": "slicer-core",
    "trame_slicer": "trame-slicer",
    "LayerDMLib": "slicer-layer-dm",
    "PySide6": "PySide6-Essentials",
    "vtk": "vtk",
}

FONTS = "fonts-dejavu-core"
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")


def missing_system_packages() -> list[str]:
    """Debian packages to install; empty on another system that has the libraries."""
    packages = [
        package
        for library, packages in LIBRARIES.items()
        if not _loads(library)
        for package in packages
    ]
    if not _has_fonts():
        packages.append(FONTS)
    return packages


def missing_python_packages() -> list[str]:
    """Names, for pip, of Python packages that are not installed."""
    return [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]


def complaint() -> str:
    """What is missing and how to install it; empty when nothing is."""
    sentences = []
    if python := missing_python_packages():
        sentences.append(f"Python packages are missing: {', '.join(python)}. Run: make setup")
    if system := missing_system_packages():
        sentences.append(
            "System libraries or fonts are missing. On Debian or Ubuntu run: "
            f"apt-get install {' '.join(system)}"
        )
    if sentences:
        sentences.insert(0, "The Slicer bench (Testing/bench) cannot run here.")
    return "\n".join(sentences)


def _loads(library: str) -> bool:
    if library == "libEGL_mesa.so.0" and _has_other_egl_vendor():
        return True
    try:
        ctypes.CDLL(library)
    except OSError:
        name = library.removeprefix("lib").split(".so")[0]
        return ctypes.util.find_library(name) is not None
    return True


def _has_other_egl_vendor() -> bool:
    """Whether a graphics driver of a vendor serves EGL in Mesa's place."""
    vendors = [Path(place, "glvnd/egl_vendor.d") for place in ("/usr/share", "/etc")]
    return any(folder.is_dir() and any(folder.glob("*nvidia*.json")) for folder in vendors)


def _has_fonts() -> bool:
    for place in _FONT_FOLDERS:
        folder = Path(place).expanduser()
        if folder.is_dir() and any(folder.rglob("*.[to]tf")):
            return True
    return False
