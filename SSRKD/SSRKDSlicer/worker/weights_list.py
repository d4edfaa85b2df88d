"""The weights that can be chosen, with their state."""

from __future__ import annotations

import re
import time

from slicer.i18n import tr as _

from SSRKDLib.weights.catalogue import (
    DEFAULT_NAME,
    IMPORTED,
    SHIPPED_FOLDER,
    list_bundles,
    user_folder,
)

from ..scene.disk import ReadOnce, stampOf, treeOf

#: The published checkpoints, as their authors offer them: name, size, address.
OFFICIAL = (
    ("bone_seg", "237 MB", "1B_Jd1wqTN4cXMBTWbCJlzQTOkIdxyBRM"),
    ("recon_ct", "76 MB", "1MCO0lqHPTLCzkkxy16159lvbHyO1QHK2"),
    ("recon_xray", "112 MB", "1_OySQkscbht-kj78JnaZMPRFQzPVmbHD"),
)


_once = ReadOnce()


def _bundles():
    folders = (SHIPPED_FOLDER, user_folder())
    paths = [path for folder in folders for path in treeOf(folder, 2)]
    return _once(tuple(paths), stampOf(*paths), list_bundles)


def choices(chosen):
    """(name, text) of every bundle; the chosen one is listed even where it is missing.

    Args:
        chosen: name of the bundle in use; "" stands for the shipped one.
    """
    listed = []
    for info in _bundles():
        state = _("imported") if info.origin == IMPORTED else _("bundled")
        if info.problem:
            state = _("damaged")
        listed.append((info.name, f"{_short(info.title)} ({state})"))
    names = [one[0] for one in listed]
    wanted = chosen or DEFAULT_NAME
    if wanted not in names:
        listed.insert(0, (wanted, _("{wanted} (missing)").format(wanted=wanted)))
    return listed


def _short(title):
    """A title without what stands in brackets at its end: the state is said once."""
    return re.sub(r"\s*\([^()]*\)$", "", title) or title


def removable(name):
    """Whether weights were imported, and so may be removed."""
    return any(info.name == name and info.removable for info in _bundles())


def sizeAndDate(name):
    """ "18 MB, 2026-11-26" of imported weights, "" of others."""
    for info in _bundles():
        if info.name == name and info.removable:
            file = info.path.stat()
            when = time.strftime("%Y-%m-%d", time.localtime(file.st_mtime))
            return _("{size:.0f} MB, imported on {date}").format(size=file.st_size / 1e6, date=when)
    return ""


def problemOf(name):
    """Why weights cannot be used, or ""."""
    wanted = name or DEFAULT_NAME
    for info in _bundles():
        if info.name == wanted:
            return info.problem
    return _("The weights '{wanted}' are missing. Choose others, or import them again.").format(
        wanted=wanted
    )


def officialText():
    """HTML: where the published checkpoints are."""
    links = ", ".join(
        f"<a href='https://drive.google.com/file/d/{key}/view'>{name}</a> ({size})"
        for name, size, key in OFFICIAL
    )
    return _(
        "Published SSR-KD checkpoints: download {links} in a browser, then import "
        "them: bone_seg and recon_xray together."
    ).format(links=links)


def weightsFolder():
    """Where imported weights are kept; made if need be."""
    folder = user_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
