"""``python -m SSRKDLib weights``: list, import, fetch and check network weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from SSRKDLib.core.messages import one_line
from SSRKDLib.core.progress import Progress, no_progress


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``weights`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser("weights", help="list, import, fetch and check weights")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="list|import|fetch|verify"
    )
    actions.add_parser("list", help="the weights that there are")
    bring = actions.add_parser(
        "import",
        help="bring weights in from files",
        description=(
            "A bundle (folder or .zip), or the official SSR-KD checkpoints (bone_seg, recon_ct, "
            "recon_xray; one or several)."
        ),
    )
    bring.add_argument("files", nargs="+", metavar="FILE", type=Path)
    get = actions.add_parser("fetch", help="download weights that are offered (see list)")
    get.add_argument("name", metavar="NAME")
    verify = actions.add_parser("verify", help="read weights in full and check them")
    verify.add_argument("name", nargs="?", metavar="NAME", help="default: all")
    return parser


def run(arguments: argparse.Namespace, progress: Progress = no_progress) -> int:
    """Do it and print the outcome.

    Returns:
        0; 2 where ``verify`` without a name finds a damaged bundle.

    Raises:
        WeightsError: weights that are absent, damaged, not weights, or cannot be reached.
        OutputError: the user's folder cannot be written.
        MissingDependencyError: torch or safetensors is not installed.
    """
    if arguments.action == "list":
        return _list()
    if arguments.action == "import":
        return _import(arguments.files)
    if arguments.action == "fetch":
        return _fetch(arguments.name, progress)
    return _verify(arguments.name)


def _list() -> int:
    from SSRKDLib.weights.catalogue import DEFAULT_NAME, list_bundles, user_folder
    from SSRKDLib.weights.releases import releases

    bundles = list_bundles()
    for info in bundles:
        default = " (default)" if info.name == DEFAULT_NAME else ""
        what = f"{info.problem or info.title} [{info.origin}, {info.path}]"
        print(one_line(f"{info.name}{default}: {what}"))
    if not bundles:
        print("There are no weights. Bring some in: weights import FILE")
    there = {info.name for info in bundles}
    for release in releases():
        if release.name not in there:
            size = f"{release.size / 1e6:.0f} MB"
            print(f"{release.name}: {release.title} [{size}; weights fetch {release.name}]")
    print(f"Imported weights are kept in {user_folder()}.")
    return 0


def _import(files: list[Path]) -> int:
    from SSRKDLib.models.loading import import_weights

    info = import_weights(files)
    print(one_line(f"{info.name}: {info.title} [{info.path}]"))
    return 0


def _fetch(name: str, progress: Progress) -> int:
    from SSRKDLib.weights.releases import fetch, find_release

    info = fetch(find_release(name), progress)
    print(one_line(f"{info.name}: {info.title} [{info.path}]"))
    return 0


def _verify(name: str | None) -> int:
    from SSRKDLib.core.errors import WeightsError
    from SSRKDLib.weights.catalogue import find_bundle, list_bundles

    if name is not None:
        print(_sound(find_bundle(name)))
        return 0
    bundles = list_bundles()
    if not bundles:
        raise WeightsError("There are no weights.", "Bring some in: weights import FILE")
    damaged = 0
    for info in bundles:
        try:
            print(_sound(info.path))
        except WeightsError as error:
            damaged += 1
            print(one_line(f"{info.name}: damaged. {error}"))
    return 2 if damaged else 0


def _sound(path: Path) -> str:
    """A line on weights that were read in full."""
    from SSRKDLib.models.loading import check_bundle

    manifest = check_bundle(path)
    return one_line(
        f"{manifest['name']}: sound ({manifest['kind']}, SHA-256 {manifest['sha256'][:12]}...)."
    )
