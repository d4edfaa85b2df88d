"""Weights that do not ship with SSRKD: files of a release, named by their SHA-256.

Each would add its size to the repository's history for ever, so only their names do. They are
fetched when somebody asks for them, and become imported weights; without internet, a file fetched
elsewhere is imported like any other. Nothing else in SSRKD uses the network.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from SSRKDLib.core.errors import OutputError, WeightsError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.weights.catalogue import SHIPPED_FOLDER, BundleInfo, import_bundle, user_folder

#: JSON: ``address`` of the release's files, and ``weights``: name, title, sha256, size (bytes).
CATALOGUE = SHIPPED_FOLDER / "releases.json"

_CHUNK = 1 << 20  # bytes
_TIMEOUT = 30.0  # s without a byte
_NETWORK = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
    ValueError,  # an address to go on to that is none
)


@dataclass(frozen=True)
class Release:
    """Weights that can be fetched.

    Attributes:
        name: of the bundle; unique.
        title: for people.
        sha256: of the file (``.zip``), hexadecimal; also its name in the release.
        size: of the file, bytes.
        url: where it is.
    """

    name: str
    title: str
    sha256: str
    size: int
    url: str


def releases() -> list[Release]:
    """All weights that can be fetched, in the catalogue's order."""
    text = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return [
        Release(**entry, url=f"{text['address']}/{entry['sha256']}.zip")
        for entry in text["weights"]
    ]


def find_release(name: str) -> Release:
    """The weights of a name.

    Raises:
        WeightsError: none of that name is offered.
    """
    offered = releases()
    for release in offered:
        if release.name == name:
            return release
    names = ", ".join(release.name for release in offered)
    raise WeightsError(
        "No weights called '{name}' are offered for download.",
        "Choose one of: {names}." if names else "Import weights from a file instead.",
        name=name,
        names=names,
    )


def fetch(release: Release, progress: Progress = no_progress) -> BundleInfo:
    """Download weights into the user's folder, check them, and import them.

    What was downloaded before an interruption, or could not be imported for want of space or of a
    package, is kept, and the next call goes on from there.

    Args:
        release: see :func:`find_release`.
        progress: called with the share of the file that is there; what it raises interrupts.

    Returns:
        The imported bundle.

    Raises:
        WeightsError: the file cannot be reached, or is not the one that the catalogue names.
        OutputError: the user's folder cannot be written.
        MissingDependencyError: torch or safetensors is not installed.
    """
    folder = user_folder()
    file = folder / f".{release.sha256}.zip"  # with a dot: not listed before it is whole
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _download(release, file, progress)
        found = _sha256(file)
    except _NETWORK as error:
        raise WeightsError(
            "{url} could not be downloaded ({error}).",
            "Check the internet connection and try again: what is there already is kept. "
            "Or download the file elsewhere and import it: weights import FILE.",
            url=release.url,
            error=error,
        ) from error
    except OSError as error:
        raise OutputError(
            "{file} cannot be written ({reason}).",
            "Check the space on the disk, and that you may write there; or choose "
            "another folder with the environment variable SSRKD_WEIGHTS.",
            file=file,
            reason=error.strerror or error,
        ) from error
    if found != release.sha256:
        file.unlink(missing_ok=True)
        raise WeightsError(
            "The file at {url} is not the one that was published (SHA-256 {found}).",
            "Try again later; if it stays so, report it.",
            url=release.url,
            found=found,
        )
    try:
        info = import_bundle(file)
    except WeightsError:
        file.unlink(missing_ok=True)
        raise
    file.unlink(missing_ok=True)  # another process may have had it, too
    progress("done", 1.0, "")
    return info


def _download(release: Release, file: Path, progress: Progress) -> None:
    there = file.stat().st_size if file.is_file() else 0
    if there >= release.size:
        return
    request = urllib.request.Request(release.url, headers={"Range": f"bytes={there}-"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        if answer.status != 206:  # the server begins from the start
            there = 0
        with file.open("ab" if there else "wb") as sink:
            while there < release.size:
                size = release.size / 1e6
                what = Message("Downloading {name}, {size:.0f} MB", name=release.name, size=size)
                progress("download", there / release.size, what)
                data = answer.read1(min(_CHUNK, release.size - there))  # what has come
                if not data:
                    raise ConnectionError("the connection was closed too early")
                sink.write(data)
                there += len(data)


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as source:
        while data := source.read(_CHUNK):
            found.update(data)
    return found.hexdigest()
