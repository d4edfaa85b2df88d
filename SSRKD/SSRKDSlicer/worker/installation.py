"""PyTorch and what else the worker needs: what is installed, and installing it after the user's
click.

Nothing is installed or imported when the module loads.
"""

from __future__ import annotations

import platform
import sys
from importlib import metadata

import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.errors import MissingDependencyError
from SSRKDLib.core.optional_packages import OLDEST_TORCH

from ..scene.disk import ReadOnce, stampOf
from ..scene.words import listed, said

#: Who asks pip for packages, as Slicer shows it.
REQUESTER = "Knee Bone Reconstruction (SSR-KD)"

#: Small enough for pip; PyTorch itself comes through Slicer's PyTorch extension alone, which knows
#: which build suits the computer.
SAFETENSORS = "safetensors>=0.4"

#: What the worker needs, and how people call it.
_SHOWN = {"torch": "PyTorch", "safetensors": "safetensors"}

#: About how much is downloaded.
SIZE = _("about 200 MB for the CPU, 2 to 3 GB with CUDA")

OFFLINE = _(
    "Without internet: on a computer with internet and the same system run\n"
    "    PythonSlicer -m pip download --only-binary :all: torch safetensors -d wheels\n"
    "copy the folder 'wheels' here, and run in Slicer's Python console\n"
    "    slicer.util.pip_install('--no-index --find-links PATH/wheels torch safetensors')"
)


#: The oldest PyTorch that runs the networks; foreign checkpoints are read from OLDEST_TORCH on.
_OLDEST_FOR_NETWORKS = (2, 1)

NO_EXTENSION = _(
    "PyTorch is installed by Slicer's PyTorch extension, which this Slicer does "
    "not have.\n\nOpen the Extensions Manager now? Install 'PyTorch' there, "
    "restart Slicer, and click Install PyTorch again."
)


def oldestTorch():
    """The release (major, minor) that is asked for: no newer one than 2.2 was ever made for Macs
    with an Intel processor, where foreign checkpoints are refused instead."""
    intelMac = sys.platform == "darwin" and platform.machine() == "x86_64"
    return _OLDEST_FOR_NETWORKS if intelMac else OLDEST_TORCH


_once = ReadOnce()


def installedVersion(name):
    """Version of a package in Slicer's Python, or None. The package is not imported."""

    def read():
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    return _once((name, *sys.path), stampOf(*sys.path), read)


def missingPackages():
    """Names of what the worker needs and Slicer's Python lacks."""
    return [name for name in _SHOWN if installedVersion(name) is None]


def neededPackages():
    """Names of packages that are missing or too old for everything the module can do."""
    torch = installedVersion("torch")
    needed = missingPackages()
    if torch is not None and _release(torch) < oldestTorch():
        needed.insert(0, "torch")
    return needed


def installed():
    """(name for people, version) of each of the packages that is installed."""
    found = [(shown, installedVersion(name)) for name, shown in _SHOWN.items()]
    return [(shown, version) for shown, version in found if version is not None]


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
        Whether everything is installed now; False where the user declined, or was led to the
        Extensions Manager.

    Raises:
        MissingDependencyError: the installation failed, or the PyTorch extension is missing and
            cannot be offered.
    """
    missing = neededPackages()
    if again and "torch" not in missing:
        missing.insert(0, "torch")
    if not missing:
        return True
    through = pytorchExtension()
    if "torch" in missing and through is None:
        _offerExtension()
        return False
    names = listed([_SHOWN[name] for name in missing])
    if "torch" in missing:
        question = _(
            "{names} will be installed into Slicer's Python through the PyTorch extension "
            "({size}), with what PyTorch itself needs.\n\nThis takes some minutes. Install now?"
        ).format(names=names, size=SIZE)
    else:
        question = _(
            "{names} will be installed into Slicer's Python.\n\nThis takes some minutes. "
            "Install now?"
        ).format(names=names)
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Install PyTorch")):
        return False
    # Slicer shows dialogs of its own during this: no wait cursor over them.
    try:
        if "torch" in missing:
            if installedVersion("torch") is not None:
                through.uninstallTorch()
            through.installTorch(
                askConfirmation=False,
                torchVersionRequirement=">={}.{}".format(*oldestTorch()),
            )
        if "safetensors" in missing:
            _installSafetensors()
    except Exception as error:  # pip fails in many ways; all mean the same to the user
        raise MissingDependencyError(
            _("The installation failed ({reason}).").format(
                reason=" ".join(str(error).split())[:200]
            ),
            _("Check the internet connection and the space on the disk. {offline}").format(
                offline=OFFLINE
            ),
        ) from error
    left = missingPackages()
    if left:
        raise MissingDependencyError(
            _("After the installation {names} is still missing.").format(names=listed(left)),
            _(
                "Restart Slicer; if it is missing then, look into the Python console for "
                "pip's messages. {offline}"
            ).format(offline=OFFLINE),
        )
    return True


def uninstall():
    """Remove what :func:`installPyTorch` installs, after asking.

    Returns:
        Whether it is gone; False where the user declined.

    Raises:
        MissingDependencyError: it cannot be removed.
    """
    question = _(
        "{names} will be removed from Slicer's Python. Other extensions that use them will not "
        "work before they are installed again. Scenes and imported weights stay.\n\nRemove now?"
    ).format(names=listed([shown for shown, version in installed()]))
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Uninstall PyTorch")):
        return False
    remedy = _("Restart Slicer, since packages in use cannot be removed, and try again.")
    try:
        through = pytorchExtension()
        if through is not None:
            through.uninstallTorch()
        elif installedVersion("torch") is not None:  # from wheels, without internet
            slicer.util.pip_uninstall("torch")
        if installedVersion("safetensors") is not None:
            slicer.util.pip_uninstall("safetensors")
    except Exception as error:  # pip fails in many ways; all mean the same to the user
        raise MissingDependencyError(
            _("The packages could not be removed ({reason}).").format(
                reason=" ".join(str(error).split())[:200]
            ),
            remedy,
        ) from error
    left = [shown for shown, version in installed()]
    if left:
        raise MissingDependencyError(
            _("After the removal {names} is still there.").format(names=listed(left)), remedy
        )
    return True


def _offerExtension():
    """Say that the PyTorch extension is missing, and open the Extensions Manager if wanted.

    Raises:
        MissingDependencyError: this Slicer was built without an Extensions Manager.
    """
    # Only builds with an Extensions Manager have this slot.
    openManager = getattr(slicer.app, "openExtensionsManagerDialog", None)
    if openManager is None:
        raise MissingDependencyError(
            _(
                "PyTorch is installed by Slicer's PyTorch extension, which this Slicer does "
                "not have."
            ),
            _(
                "Use a Slicer with an Extensions Manager and install 'PyTorch' there. {offline}"
            ).format(offline=OFFLINE),
        )
    if slicer.util.confirmOkCancelDisplay(NO_EXTENSION, windowTitle=_("Install PyTorch")):
        openManager()


def _installSafetensors():
    ensure = getattr(getattr(slicer, "packaging", None), "pip_ensure", None)
    if ensure is None:  # before Slicer 5.12
        slicer.util.pip_install(f"--only-binary :all: {SAFETENSORS}")
    else:
        ensure(SAFETENSORS, prompt_install=False, requester=REQUESTER)


def describeInstallation(about):
    """Lines on what is installed, from the worker's result of ``describe``.

    Args:
        about: see :func:`SSRKDLib.worker.tasks.describe`.
    """
    lines = []
    for name, shown in _SHOWN.items():
        version = about[name]
        lines.append(
            f"✓ {shown} {version}" if version else _("✗ {shown} is missing").format(shown=shown)
        )
    if about["problem"]:
        lines.append(_("✗ {problem} Install PyTorch again.").format(problem=said(about["problem"])))
    if about["gpu"]:
        lines.append(
            _("✓ GPU: {name}, {memory:.0f} GB").format(
                name=about["gpu"], memory=about["gpu_memory"] / 2**30
            )
        )
    else:
        lines.append(
            _("✓ CPU, {cores} cores (no GPU that PyTorch can use)").format(cores=about["cores"])
        )
    for name, problem in about["weights"].items():
        lines.append(
            _("✗ weights {name}: {problem}").format(name=name, problem=said(problem))
            if problem
            else _("✓ weights {name}").format(name=name)
        )
    return lines
