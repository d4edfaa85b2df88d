"""PyTorch and what else the worker needs: what is installed, and installing it after the user's
click.

Nothing is installed or imported when the module loads.
"""

from __future__ import annotations

from importlib import metadata

import slicer

from SSRKDLib.core.errors import MissingDependencyError
from SSRKDLib.core.optional_packages import OLDEST_TORCH

#: What is installed, and about how much is downloaded.
PACKAGES = ("torch>=2.10", "safetensors>=0.4")
SIZE = "about 200 MB for the CPU, 2 to 3 GB with CUDA"

OFFLINE = (
    "Without internet: on a computer with internet and the same system run\n"
    "    PythonSlicer -m pip download --only-binary :all: torch safetensors -d wheels\n"
    "copy the folder 'wheels' here, and run in Slicer's Python console\n"
    "    slicer.util.pip_install('--no-index --find-links PATH/wheels torch safetensors')"
)


def installedVersion(name):
    """Version of a package in Slicer's Python, or None. The package is not imported."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def missingPackages():
    """Names of what the worker needs and Slicer's Python lacks."""
    return [name for name in ("torch", "safetensors") if installedVersion(name) is None]


def neededPackages():
    """Names of packages that are missing or too old for everything the module can do."""
    torch = installedVersion("torch")
    needed = missingPackages()
    if torch is not None and _release(torch) < OLDEST_TORCH:
        needed.insert(0, "torch")
    return needed


def _release(version):
    numbers = version.split("+")[0].split(".")[:2]
    return tuple(int(number) if number.isdigit() else 0 for number in numbers)


def pytorchExtension():
    """The logic of the PyTorch extension, or None where that is not installed."""
    try:
        import PyTorchUtils
    except ImportError:
        return None
    return PyTorchUtils.PyTorchUtilsLogic()


def installPyTorch(again=False):
    """Install what is missing or too old, after asking.

    Args:
        again: install PyTorch anew though it is installed, because it does not load.

    Returns:
        Whether everything is installed now; False where the user declined.

    Raises:
        MissingDependencyError: the installation failed.
    """
    missing = neededPackages()
    if again and "torch" not in missing:
        missing.insert(0, "torch")
    if not missing:
        return True
    through = pytorchExtension()
    how = "through the PyTorch extension" if through else "with pip, ready-made wheels only"
    names = " and ".join({"torch": "PyTorch"}.get(name, name) for name in missing)
    question = (
        f"{names} will be installed into Slicer's Python {how} ({SIZE}), with what PyTorch itself "
        "needs.\n\nThis takes some minutes. Install now?"
    )
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle="Install PyTorch"):
        return False
    try:
        with slicer.util.WaitCursor():
            if "torch" in missing:
                _installTorch(through, again)
            if "safetensors" in missing:
                slicer.util.pip_install(f"--only-binary :all: {PACKAGES[1]}")
    except Exception as error:  # pip fails in many ways; all mean the same to the user
        raise MissingDependencyError(
            f"The installation failed ({' '.join(str(error).split())[:200]}).",
            f"Check the internet connection and the space on the disk. {OFFLINE}",
        ) from error
    left = missingPackages()
    if left:
        raise MissingDependencyError(
            f"After the installation {' and '.join(left)} is still missing.",
            f"Look into Slicer's Python console for pip's messages. {OFFLINE}",
        )
    return True


def _installTorch(through, again):
    if through is not None and not again:
        through.installTorch(askConfirmation=False, torchVersionRequirement=">=2.10")
    else:
        anew = "--force-reinstall --no-deps " if again else "--upgrade "
        slicer.util.pip_install(f"--only-binary :all: {anew}{PACKAGES[0]}")


def describeInstallation(about):
    """Lines on what is installed, from the worker's result of ``describe``.

    Args:
        about: see :func:`SSRKDLib.worker.tasks.describe`.
    """
    lines = []
    for name, shown in (("torch", "PyTorch"), ("safetensors", "safetensors")):
        version = about[name]
        lines.append(f"✓ {shown} {version}" if version else f"✗ {shown} is missing")
    if about["problem"]:
        lines.append(f"✗ {about['problem']} Install PyTorch again.")
    if about["gpu"]:
        lines.append(f"✓ GPU: {about['gpu']}, {about['gpu_memory'] / 2**30:.0f} GB")
    else:
        lines.append(f"✓ CPU, {about['cores']} cores (no GPU that PyTorch can use)")
    for name, problem in about["weights"].items():
        lines.append(f"✗ weights {name}: {problem}" if problem else f"✓ weights {name}")
    return lines
