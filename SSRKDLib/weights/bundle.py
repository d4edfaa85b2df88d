"""Bundles: the only form in which weights are read.

A bundle is a folder or a zip archive with exactly two members: ``bundle.json``, which
says what the weights are, and ``model.safetensors``, the tensors of one or several
networks, each key prefixed with the network's name (``student.conv1.weight``). Nothing
in a bundle is ever executed, and an archive is never unpacked to disk.

Reading a manifest needs neither torch nor safetensors; reading tensors needs both.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import struct
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from SSRKDLib.errors import MissingDependencyError, OutputError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
MANIFEST = "bundle.json"
TENSORS = "model.safetensors"
KINDS = ("ssrkd", "official")
STORAGES = ("float32", "float16")

#: Largest members read, in bytes: the official networks together need 0.3 GB.
LIMITS = {MANIFEST: 1 << 20, TENSORS: 2 << 30}
#: Trained weights hardly compress; an archive that claims more is not one of ours.
LARGEST_RATIO = 100

_TEXT_KEYS = ("name", "title", "kind", "licence", "sha256")
_OTHER_KEYS = ("networks", "labels", "geometry", "normalisation", "training", "scores")
# The name becomes a file name in the user's folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_GET_ANOTHER = "Get the file again, from where it came, and import it once more."
# What zipfile raises on damage: RuntimeError covers encryption and unknown compression.
_ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Bundle:
    """Weights in memory, checked.

    Attributes:
        manifest: What ``bundle.json`` says.
        tensors: Prefixed key -> tensor on the CPU; floating-point ones are float32.
        path: The folder or archive they came from.
    """

    manifest: dict[str, Any]
    tensors: dict[str, Tensor]
    path: Path

    def network_tensors(self, network: str) -> dict[str, Tensor]:
        """The ``state_dict`` of one network, its prefix removed.

        Raises:
            WeightsError: The bundle holds no such network.
        """
        if network not in self.manifest["networks"]:
            raise WeightsError(
                f"The weights '{self.manifest['name']}' hold no {network}, only "
                f"{', '.join(self.manifest['networks'])}.",
                f"Choose weights with a {network}, or import the file that holds it as well.",
            )
        prefix = network + "."
        return {k[len(prefix) :]: t for k, t in self.tensors.items() if k.startswith(prefix)}


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest alone; needs no torch and does not look at the tensors.

    Raises:
        WeightsError: Absent, damaged, incomplete, or of an unknown format version.
    """
    path = Path(path)
    return _parse_manifest(_read_member(path, MANIFEST), str(path))


def read_bundle(path: Path) -> Bundle:
    """Manifest and tensors, the latter checked against their SHA-256.

    Raises:
        WeightsError: As :func:`read_manifest`; or the tensors are damaged, exchanged,
            do not belong to the networks named, or are not finite.
        MissingDependencyError: torch or safetensors is not installed.
    """
    path = Path(path)
    return _build(path, *_read_parts(path))


def verify_bundle(path: Path) -> dict[str, Any]:
    """Read and check everything; returns the manifest. Raises as :func:`read_bundle`."""
    return read_bundle(path).manifest


def write_bundle(path: Path, manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a bundle: an archive where ``path`` ends in ``.zip``, else a folder.

    Appears as a whole or not at all; a bundle already there is replaced.

    Args:
        manifest: ``format`` and ``sha256`` are filled in here. With ``"storage":
            "float16"`` floating-point tensors with two axes or more are stored in half
            precision (vectors are biases and statistics: small, and wide in range).
        tensors: Keys prefixed with a network's name.

    Raises:
        WeightsError: The manifest or the tensors would be refused on reading.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    safetensors_torch = _import_safetensors()
    complete = {**manifest, "format": FORMAT, "sha256": ""}
    _check_manifest(complete, str(path))
    half = manifest.get("storage") == "float16"
    stored = {}
    for key, tensor in tensors.items():
        shrink = half and tensor.is_floating_point() and tensor.dim() >= 2
        plain = tensor.detach().cpu()
        # Tied parameters share memory, which safetensors refuses: every key gets its own.
        stored[key] = (plain.half() if shrink else plain).clone().contiguous()
    _check_tensors(manifest, stored, str(path))
    data = safetensors_torch.save(stored)
    complete["sha256"] = hashlib.sha256(data).hexdigest()
    text = json.dumps(complete, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _write_parts(path, text.encode(), data)


def copy_bundle(source: Path, target: Path) -> None:
    """Check ``source`` and write the same bytes to ``target``, as :func:`write_bundle`."""
    source = Path(source)
    parts = _read_parts(source)
    _build(source, *parts)
    _write_parts(Path(target), *parts)


def _read_parts(path: Path) -> tuple[bytes, bytes]:
    """The bytes of both members."""
    return _read_member(path, MANIFEST), _read_member(path, TENSORS)


def _build(path: Path, text: bytes, data: bytes) -> Bundle:
    manifest = _parse_manifest(text, str(path))
    if hashlib.sha256(data).hexdigest() != manifest["sha256"].lower():
        raise WeightsError(
            f"{path}: the SHA-256 of {TENSORS} is not the one in {MANIFEST}; the weights are "
            "damaged or were exchanged.",
            _GET_ANOTHER,
        )
    tensors = _decode(data, str(path))
    tensors = {key: t.float() if t.is_floating_point() else t for key, t in tensors.items()}
    _check_tensors(manifest, tensors, str(path))
    return Bundle(manifest, tensors, path)


def _read_member(path: Path, member: str) -> bytes:
    if not path.exists():
        raise WeightsError(
            f"There are no weights at {path}.", "Check the path, or import the weights again."
        )
    try:
        if path.is_dir():
            return _read_from_folder(path, member)
        return _read_from_archive(path, member)
    except _ZIP_DAMAGE as error:
        raise WeightsError(
            f"{path}: the archive is damaged or was cut off ({error}).", _GET_ANOTHER
        ) from error
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror or error}).",
            "Check that the disk is there and that you may read the file.",
        ) from error


def _read_from_folder(path: Path, member: str) -> bytes:
    file = path / member
    if not file.is_file():
        raise _no_member(path, member)
    _check_size(path, member, file.stat().st_size)
    return file.read_bytes()


def _read_from_archive(path: Path, member: str) -> bytes:
    with path.open("rb") as file:
        begins_as_zip = file.read(2) == b"PK"
    if not begins_as_zip:
        raise WeightsError(
            f"{path} is neither a folder nor a zip archive.",
            "Choose a weights bundle (.zip), or import an official checkpoint first.",
        )
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _check_names(path, [info.filename for info in members])
        for info in members:
            _check_size(path, info.filename, info.file_size)
            if info.file_size > LARGEST_RATIO * max(info.compress_size, 1):
                raise WeightsError(
                    f"{path}: {info.filename} claims to unpack to an absurd size "
                    f"({info.file_size} bytes from {info.compress_size}).",
                    "Do not use this file; get the weights from a source that you trust.",
                )
        # zipfile never yields more than the size checked above, and checks the CRC.
        return archive.read(member)


def _check_names(path: Path, names: list[str]) -> None:
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in name:
            raise WeightsError(
                f"{path}: the archive holds a file that would be written outside of its folder "
                f"({name!r}).",
                "Do not use this file; get the weights from a source that you trust.",
            )
    for member in (MANIFEST, TENSORS):
        if member not in names:
            raise _no_member(path, member)
    if len(names) != 2:
        other = next((n for n in names if n not in LIMITS), "a file twice")
        raise WeightsError(
            f"{path}: the archive holds more than a weights bundle ({other!r}).",
            f"Leave only {MANIFEST} and {TENSORS} in it.",
        )


def _no_member(path: Path, member: str) -> WeightsError:
    return WeightsError(
        f"{path} holds no {member}, so it is not a complete weights bundle.",
        "Choose another file; where this one holds official checkpoints, unpack it and import "
        "the checkpoints themselves.",
    )


def _check_size(path: Path, member: str, size: int) -> None:
    if size > LIMITS[member]:
        raise WeightsError(
            f"{path}: {member} has an absurd size ({size} bytes, {LIMITS[member]} allowed).",
            "Do not use this file; get the weights from a source that you trust.",
        )


def _parse_manifest(text: bytes, where: str) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{where}: {MANIFEST} is not valid JSON.", _GET_ANOTHER) from error
    _check_manifest(manifest, where)
    return manifest


def _check_manifest(manifest: Any, where: str) -> None:
    def refuse(what: str) -> WeightsError:
        return WeightsError(f"{where}: {MANIFEST} {what}.", _GET_ANOTHER)

    if not isinstance(manifest, dict):
        raise refuse("is not a JSON object")
    if manifest.get("format") != FORMAT:
        raise WeightsError(
            f"{where}: the bundle has format version {manifest.get('format')!r}, but this "
            f"program reads version {FORMAT}.",
            "Update SSRKD, or get weights made for this version.",
        )
    missing = [key for key in (*_TEXT_KEYS, *_OTHER_KEYS) if key not in manifest]
    if missing:
        raise refuse(f"lacks {', '.join(missing)}")
    if not all(isinstance(manifest[key], str) for key in _TEXT_KEYS):
        raise refuse(f"must give text for {', '.join(_TEXT_KEYS)}")
    if not _NAME.fullmatch(manifest["name"]):
        raise refuse("has a name with other characters than letters, digits, '.', '_' and '-'")
    if manifest["kind"] not in KINDS:
        raise refuse(f"has an unknown kind ({manifest['kind']!r})")
    if manifest.get("storage", STORAGES[0]) not in STORAGES:
        raise refuse(f"has an unknown storage ({manifest['storage']!r})")
    networks = manifest["networks"]
    if not isinstance(networks, dict) or not networks:
        raise refuse("names no network")
    for name, network in networks.items():
        described = isinstance(network, dict) and isinstance(network.get("architecture"), str)
        if not described or not isinstance(network.get("arguments"), dict):
            raise refuse(f"does not give architecture and arguments of the network {name!r}")


def _check_tensors(manifest: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> None:
    networks = manifest["networks"]
    owners = {key.partition(".")[0] for key in tensors}
    if owners != set(networks):
        odd = ", ".join(sorted(owners ^ set(networks)))
        raise WeightsError(
            f"{where}: {MANIFEST} and {TENSORS} name different networks ({odd}).", _GET_ANOTHER
        )
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise WeightsError(
                f"{where}: the tensor {key} holds values that are not finite numbers.",
                "Use other weights; where you trained these, the training diverged.",
            )


def _decode(data: bytes, where: str) -> dict[str, Tensor]:
    safetensors_torch = _import_safetensors()
    from safetensors import SafetensorError

    try:
        return safetensors_torch.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{where}: {TENSORS} is not a readable safetensors file ({error}).", _GET_ANOTHER
        ) from error


def _import_safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        package = (error.name or "safetensors").partition(".")[0]
        raise MissingDependencyError(
            f"The package {package}, which reads network weights, is not installed.",
            f"Install it with: python -m pip install {package}",
        ) from error
    return safetensors.torch


def _write_parts(path: Path, manifest: bytes, data: bytes) -> None:
    members = {MANIFEST: manifest, TENSORS: data}
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".zip":
            _write_archive(temporary, members)
            os.replace(temporary, path)
        else:
            temporary.mkdir()
            for name, content in members.items():
                (temporary / name).write_bytes(content)
            _replace_folder(temporary, path)
    except OSError as error:
        raise OutputError(
            f"The weights cannot be written to {path} ({error.strerror or error}).",
            "Choose another place, or make room and check that you may write there.",
        ) from error
    finally:
        _discard(temporary)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):  # it may never have come into being
        path.unlink()


def _write_archive(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            # A fixed date: the same weights make the same file.
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)


def _replace_folder(temporary: Path, path: Path) -> None:
    if not path.exists():
        os.replace(temporary, path)
        return
    if not (path / MANIFEST).is_file():
        raise OutputError(
            f"{path} exists and is not a weights bundle.", "Choose another folder for the weights."
        )
    # A folder that is not empty cannot be replaced in one step: the old one steps aside.
    old = temporary.with_suffix(".old")
    os.replace(path, old)
    os.replace(temporary, path)
    shutil.rmtree(old, ignore_errors=True)
