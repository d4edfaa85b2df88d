"""Bundles: the only form in which weights are read.

A bundle is a folder or a zip archive with exactly two members: ``bundle.json``, which
describes the weights, and ``model.safetensors``, the tensors of one or several
networks, each key prefixed with the network's name (``student.conv1.weight``). Nothing
in a bundle is ever executed, and an archive is never unpacked to disk.

Reading a manifest needs neither torch nor safetensors; reading tensors needs both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.core.input_files import parse_json
from SSRKDLib.core.messages import Message
from SSRKDLib.core.system_errors import missing_package
from SSRKDLib.weights.archive import GET_ANOTHER, MANIFEST, TENSORS, read_member, write_members
from SSRKDLib.weights.storage import EIGHT_BITS, STORAGES, from_stored, to_stored

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
KINDS = ("ssrkd", "official")

_TEXT_KEYS = ("name", "title", "kind", "licence", "sha256")
_OTHER_KEYS = ("networks", "labels", "geometry", "normalisation", "training", "scores")
# The name becomes a file name in the user's folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Bundle:
    """Weights in memory, checked.

    Attributes:
        manifest: The contents of ``bundle.json``.
        tensors: Prefixed key -> tensor on the CPU; floating-point ones are float32.
        path: The folder or archive they came from.
    """

    manifest: dict[str, Any]
    tensors: dict[str, Tensor]
    path: Path

    def network_tensors(self, network: str) -> dict[str, Tensor]:
        """The ``state_dict`` of one network, its prefix removed.

        Raises:
            WeightsError: The bundle contains no such network.
        """
        if network not in self.manifest["networks"]:
            raise WeightsError(
                "The weights '{name}' contain no {network}, only {names}.",
                "Choose weights with a {network}, or import the file that contains it as well.",
                name=self.manifest["name"],
                network=network,
                names=", ".join(self.manifest["networks"]),
            )
        prefix = network + "."
        return {k[len(prefix) :]: t for k, t in self.tensors.items() if k.startswith(prefix)}


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest alone; needs no torch and does not look at the tensors.

    Raises:
        WeightsError: Absent, damaged, incomplete, or of an unknown format version.
    """
    path = Path(path)
    return _parse_manifest(read_member(path, MANIFEST), str(path))


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
        manifest: ``format`` and ``sha256`` are filled in here. ``storage`` is how floating-point
            tensors with two axes or more are stored (:mod:`~SSRKDLib.weights.storage`).
        tensors: Keys prefixed with a network's name.

    Raises:
        WeightsError: The manifest or the tensors would be refused on reading.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    safetensors_torch = _import_safetensors()
    complete = {**manifest, "format": FORMAT, "sha256": ""}
    _check_manifest(complete, str(path))
    _check_tensors(manifest, tensors, str(path))
    stored = to_stored(tensors, _storage(manifest))
    _check_tensors(manifest, from_stored(stored, _storage(manifest), str(path)), str(path))
    data = safetensors_torch.save(stored)
    complete["sha256"] = hashlib.sha256(data).hexdigest()
    text = json.dumps(complete, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_members(path, text.encode(), data, _storage(manifest) == EIGHT_BITS)


def copy_bundle(source: Path, target: Path) -> None:
    """Check ``source`` and write the same bytes to ``target``, as :func:`write_bundle`."""
    source = Path(source)
    parts = _read_parts(source)
    manifest = _build(source, *parts).manifest
    write_members(Path(target), *parts, _storage(manifest) == EIGHT_BITS)


def _read_parts(path: Path) -> tuple[bytes, bytes]:
    """The bytes of both members."""
    return read_member(path, MANIFEST), read_member(path, TENSORS)


def _build(path: Path, text: bytes, data: bytes) -> Bundle:
    manifest = _parse_manifest(text, str(path))
    if hashlib.sha256(data).hexdigest() != manifest["sha256"].lower():
        raise WeightsError(
            Message(
                "{path}: the SHA-256 of {tensors} is not the one in {manifest}; the weights "
                "are damaged or were exchanged.",
                path=path,
                tensors=TENSORS,
                manifest=MANIFEST,
            ),
            GET_ANOTHER,
        )
    tensors = from_stored(_decode(data, str(path)), _storage(manifest), str(path))
    _check_tensors(manifest, tensors, str(path))
    return Bundle(manifest, tensors, path)


def _parse_manifest(text: bytes, where: str) -> dict[str, Any]:
    try:
        manifest = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            Message("{where}: {manifest} is not valid JSON.", where=where, manifest=MANIFEST),
            GET_ANOTHER,
        ) from error
    _check_manifest(manifest, where)
    return manifest


def _storage(manifest: Mapping[str, Any]) -> Any:
    return manifest.get("storage", STORAGES[0])


def _check_manifest(manifest: Any, where: str) -> None:
    def refuse(what: str) -> WeightsError:
        return WeightsError(
            Message("{where}: {manifest} {what}.", where=where, manifest=MANIFEST, what=what),
            GET_ANOTHER,
        )

    if not isinstance(manifest, dict):
        raise refuse("is not a JSON object")
    if manifest.get("format") != FORMAT:
        raise WeightsError(
            "{where}: the bundle has format version {found!r}, but this program reads "
            "version {format}.",
            "Update SSRKD, or get weights made for this version.",
            where=where,
            found=manifest.get("format"),
            format=FORMAT,
        )
    missing = [key for key in (*_TEXT_KEYS, *_OTHER_KEYS) if key not in manifest]
    if missing:
        raise refuse(f"lacks {', '.join(missing)}")
    if not all(isinstance(manifest[key], str) for key in _TEXT_KEYS):
        raise refuse(f"must give text for {', '.join(_TEXT_KEYS)}")
    if not isinstance(manifest["geometry"], dict):
        raise refuse("must give an object for geometry")
    if not _NAME.fullmatch(manifest["name"]):
        raise refuse("has a name with other characters than letters, digits, '.', '_' and '-'")
    if manifest["kind"] not in KINDS:
        raise refuse(f"has an unknown kind ({manifest['kind']!r})")
    if _storage(manifest) not in STORAGES:
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
            Message(
                "{where}: {manifest} and {tensors} name different networks ({odd}).",
                where=where,
                manifest=MANIFEST,
                tensors=TENSORS,
                odd=odd,
            ),
            GET_ANOTHER,
        )
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise WeightsError(
                "{where}: the tensor {key} contains values that are not finite numbers.",
                "Use other weights; where you trained these, the training diverged.",
                where=where,
                key=key,
            )


def _decode(data: bytes, where: str) -> dict[str, Tensor]:
    safetensors_torch = _import_safetensors()
    from safetensors import SafetensorError

    try:
        return safetensors_torch.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            Message(
                "{where}: {tensors} is not a readable safetensors file ({error}).",
                where=where,
                tensors=TENSORS,
                error=error,
            ),
            GET_ANOTHER,
        ) from error


def _import_safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        package = (error.name or "safetensors").partition(".")[0]
        raise missing_package(package, error) from error
    return safetensors.torch
