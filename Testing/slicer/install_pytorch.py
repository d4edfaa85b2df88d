"""Installs the PyTorch extension and PyTorch into a Slicer that nobody sits in front of.

    Slicer --no-splash --testing --python-script Testing/slicer/install_pytorch.py

Run it twice: Slicer finds an extension after its next start only, so the first run installs the
extension and the second one PyTorch, through it. A person clicks *Install PyTorch* instead.
"""

from __future__ import annotations

import slicer


def main() -> str:
    """Install the extension, or where it is there PyTorch and safetensors; say which.

    Raises:
        RuntimeError: the extension cannot be installed.
    """
    try:
        import PyTorchUtils
    except ImportError:
        manager = slicer.app.extensionsManagerModel()
        manager.interactive = False
        if not manager.installExtensionFromServer("PyTorch", False):
            raise RuntimeError("The extension PyTorch could not be installed.") from None
        return "the PyTorch extension was installed; start Slicer again"
    PyTorchUtils.PyTorchUtilsLogic().installTorch(
        askConfirmation=False, torchVersionRequirement=">=2.10"
    )
    slicer.util.pip_install("--only-binary :all: safetensors>=0.4")
    return "PyTorch and safetensors are installed"


if __name__ == "__main__":
    try:
        print(main())
        slicer.util.exit(0)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        slicer.util.exit(1)
