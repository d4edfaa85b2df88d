"""Which weights there are: those that ship with SSRKD and those the user imported.

Needs neither torch nor safetensors to list and find, so Slicer's own process can.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from SSRKDLib.core.errors import OutputError, WeightsError
from SSRKDLib.core.messages import Message, one_line
from SSRKDLib.weights.archive import is_written_archive
from SSRKDLib.weights.bundle import MANIFEST, copy_bundle, read_manifest

SHIPPED_FOLDER = Path(__file__).resolve().parents[1] / "data" / "weights"
DEFAULT_NAME = "virtual-knee"

SHIPPED, IMPORTED = "shipped", "imported"


@dataclass(frozen=True)
class BundleInfo:
    """A bundle on disk, as its manifest describes it.

    Attributes:
        name: What :func:`find_bundle` takes.
        title: For people.
        kind: ``ssrkd`` or ``official``; empty where the manifest cannot be read.
        path: The archive or folder.
        origin: ``shipped`` or ``imported``.
        problem: Why it cannot be used, empty when it can.
    """

    name: str
    title: str
    kind: str
    path: Path
    origin: str
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem

    @property
    def removable(self) -> bool:
        """Whether an import wrote it; folders were put there by hand, and may hold more."""
        return self.origin == IMPORTED and is_written_archive(self.path)


def user_folder() -> Path:
    """Where imported bundles go: ``$SSRKD_WEIGHTS``, else ``~/.ssrkd/weights``."""
    given = os.environ.get("SSRKD_WEIGHTS")
    if given:
        return Path(os.path.expanduser(given))
    # Without a home folder (a container's nameless user), "~" stays what it is.
    home = os.path.expanduser("~")
    return Path(os.sep if home == "~" else home) / ".ssrkd" / "weights"


def list_bundles() -> list[BundleInfo]:
    """All bundles, shipped ones first, each group by file name; damaged ones with the reason.

    Only manifests are read: ``verify_bundle`` checks the tensors.
    """
    return _list_folder(SHIPPED_FOLDER, SHIPPED) + _list_folder(user_folder(), IMPORTED)


def find_bundle(name_or_path: str | Path | None = None) -> Path:
    """The bundle with a name, or at a path; None means the default shipped one.

    Whether it is intact shows when it is read.

    Raises:
        WeightsError: There is none.
    """
    wanted = DEFAULT_NAME if name_or_path is None else str(name_or_path)
    bundles = list_bundles()
    for info in bundles:
        if info.name == wanted:
            return info.path
    path = Path(os.path.expanduser(wanted))
    if name_or_path is not None and path.exists():
        return path
    known = ", ".join(info.name for info in bundles if info.ok)
    raise WeightsError(
        "There are no weights called '{wanted}'.",
        "Choose one of: {known}." if known else "Import weights from a file first.",
        wanted=wanted,
        known=known,
    )


def import_bundle(source: str | Path | Sequence[Path]) -> BundleInfo:
    """Bring weights into the user's folder, which is made if need be.

    Args:
        source: A bundle (folder or ``.zip``), or one or several official checkpoints.
            Official checkpoints join those imported before. A bundle replaces an
            imported one of the same name.

    Returns:
        The bundle as it is listed from now on.

    Raises:
        WeightsError: The file is damaged, unsafe, or not weights; see ``bundle`` and
            ``official_import``.
        OutputError: The user's folder cannot be written.
        MissingDependencyError: torch or safetensors is not installed.
    """
    paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(p) for p in source]
    if len(paths) == 1 and (paths[0].is_dir() or paths[0].suffix.lower() == ".zip"):
        target = _import_ready(paths[0])
    else:
        target = _import_checkpoints(paths)
    return _describe(target, IMPORTED)


def remove_bundle(name: str) -> None:
    """Remove imported weights, a file, from the user's folder.

    Raises:
        WeightsError: there are none of that name that were imported.
        OutputError: they cannot be removed.
    """
    named = (one for one in list_bundles() if one.name == name)
    path = next((one.path for one in named if one.removable), None)
    if path is None:
        raise WeightsError(
            "No weights called '{name}' were imported.",
            "Those that ship with SSRKD stay; remove a folder of weights by hand.",
            name=name,
        )
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(
            "'{path}' cannot be removed ({reason}).",
            "Close what uses it, or remove it by hand.",
            path=path,
            reason=error.strerror or error,
        ) from error


def _import_ready(source: Path) -> Path:
    name = read_manifest(source)["name"]
    if any(info.name.lower() == name.lower() for info in list_bundles() if info.origin == SHIPPED):
        raise WeightsError(
            "Weights called '{name}' ship with SSRKD already.",
            "Give these another name in {manifest}, then import them again.",
            name=name,
            manifest=MANIFEST,
        )
    target = user_folder() / f"{name}.zip"
    copy_bundle(source, target)
    return target


def _import_checkpoints(paths: Sequence[Path]) -> Path:
    from SSRKDLib.weights import official_import

    target = user_folder() / f"{official_import.BUNDLE_NAME}.zip"
    files = {official_import.identify_checkpoint(path): path for path in paths}
    if len(files) != len(paths):
        raise WeightsError(
            "Two of the files are the same official checkpoint.", "Choose each of them once."
        )
    official_import.import_official(files, target)
    return target


def _list_folder(folder: Path, origin: str) -> list[BundleInfo]:
    if not folder.is_dir():
        return []
    try:
        # A leading dot marks a bundle that is being written.
        visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        paths = [path for path in visible if path.suffix == ".zip" or _is_folder_bundle(path)]
    except OSError as error:
        # Listed like a damaged bundle: the weights elsewhere stay usable.
        problem = Message(
            "{folder} cannot be read ({reason}). Check that you may open it.",
            folder=folder,
            reason=error.strerror,
        )
        return [BundleInfo(folder.name, folder.name, "", folder, origin, problem)]
    return [_describe(path, origin) for path in paths]


def _is_folder_bundle(path: Path) -> bool:
    """One that may not be opened counts as one, and reading it says so."""
    try:
        return (path / MANIFEST).is_file()
    except OSError:
        return True


def _describe(path: Path, origin: str) -> BundleInfo:
    try:
        manifest = read_manifest(path)
    except WeightsError as error:
        name = path.stem if path.suffix == ".zip" else path.name
        return BundleInfo(name, name, "", path, origin, problem=str(error))
    return BundleInfo(manifest["name"], one_line(manifest["title"]), manifest["kind"], path, origin)
