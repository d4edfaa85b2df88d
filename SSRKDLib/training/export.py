"""From trainings' checkpoints to a bundle that Reconstruct reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from SSRKDLib.core.anatomy import LABELS
from SSRKDLib.core.errors import InputError, WeightsError
from SSRKDLib.core.input_files import read_json
from SSRKDLib.radiographs.normalisation import LOCAL_CONTRAST, LOCAL_CONTRAST_NAMES
from SSRKDLib.radiographs.published_input import NETWORK_UNITS
from SSRKDLib.training.checkpoints import ENTRY, network_state, read_checkpoint, read_network
from SSRKDLib.weights.bundle import Bundle, read_bundle, write_bundle
from SSRKDLib.weights.catalogue import find_bundle

#: A bundle's source-to-detector and source-to-joint distances, mm: nominal, since images are
#: re-taken by virtual cameras; with them a detector's pixel measures twice one at the joint.
NOMINAL_DISTANCES = (2000.0, 1000.0)


def export(
    checkpoints: Sequence[Path],
    path: Path,
    name: str | None = None,
    base: str | None = None,
    scores: Path | None = None,
    storage: str | None = None,
) -> None:
    """Write a bundle with the networks of checkpoints.

    Args:
        checkpoints: of trainings of different networks.
        path: the bundle, ``.zip`` or a folder.
        name: of the bundle; by default its configuration's, else that of ``path``.
        base: a bundle whose other networks are taken along; the project's own student brings the
            one that it was trained on.
        scores: JSON of an evaluation to record in it.
        storage: of :data:`~SSRKDLib.weights.storage.STORAGES`; by default half precision for the
            project's own networks, single precision for published ones.

    Raises:
        WeightsError: a checkpoint is damaged, two contain the same network, or their networks do
            not make a bundle that can reconstruct.
        InputError: ``scores`` cannot be read.
        OutputError: the bundle cannot be written.
    """
    networks: dict[str, Any] = {}
    tensors: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    for file in checkpoints:
        checkpoint = read_checkpoint(file)
        for network, entry in checkpoint[ENTRY]["networks"].items():
            if network in networks:
                raise WeightsError(
                    f"Two of the checkpoints contain a {network}.", "Give one of them."
                )
            networks[network] = {k: entry[k] for k in ("architecture", "arguments")}
            read_network(file, network)  # whether they fit each other
            state = network_state(checkpoint, network)
            tensors |= {f"{network}.{key}": tensor for key, tensor in state.items()}
            entries[network] = {**checkpoint[ENTRY], "networks": [network]}
    own_bases = (_described(entry).get("base") for entry in entries.values())
    base = base or next(filter(None, own_bases), None)
    manifest = _manifest_of(entries)
    if base is not None:
        below = read_bundle(find_bundle(base))
        _check_fits(networks, entries, manifest, below)
        kept = {k: v for k, v in below.manifest["networks"].items() if k not in networks}
        manifest = _joined(below.manifest, manifest, set(networks))
        networks = {**kept, **networks}
        for network in kept:
            state = below.network_tensors(network)
            tensors |= {f"{network}.{key}": tensor for key, tensor in state.items()}
    if not {"segmenter", "student"} <= set(networks):
        raise WeightsError(
            f"A bundle needs a segmenter and a student (got {', '.join(networks)}).",
            "Give the checkpoints of both, or a bundle to add to (--base).",
        )
    manifest |= _texts(entries, manifest, name, Path(path).stem)
    manifest["networks"] = networks
    manifest["storage"] = storage or ("float16" if manifest["kind"] == "ssrkd" else "float32")
    if scores is not None:
        manifest["scores"] = _read_scores(scores)
    write_bundle(path, manifest, tensors)


def _texts(
    entries: dict[str, Any], manifest: dict[str, Any], name: str | None, stem: str
) -> dict[str, Any]:
    """The manifest's texts: from the configuration, unless another ``name`` is given; else
    those of the base; else made of the name."""
    texts = next((e["bundle"] for e in entries.values() if e.get("bundle")), {})
    chosen = name or texts.get("name") or stem
    title = f"{chosen} (for research, not for diagnosis)"
    if manifest.get("name") == chosen:
        title = manifest["title"]
    if texts.get("name", chosen) == chosen:
        title = texts.get("title", title)
    return {**texts, "name": chosen, "title": title}


def _described(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry's normalisation, where it is more than a name."""
    return {} if isinstance(entry["normalisation"], str) else entry["normalisation"]


def _manifest_of(entries: dict[str, Any]) -> dict[str, Any]:
    """A manifest from the descriptions in the checkpoints, without its networks."""
    own = {n: e for n, e in entries.items() if isinstance(e["normalisation"], str)}
    others = {n: e for n, e in entries.items() if n not in own}
    if own and not set(others) <= {"teacher"}:
        raise WeightsError(
            f"The published {min(set(others) - {'teacher'})} does not work with the project's own "
            f"{min(own)}.",
            "Export them to bundles of their own.",
        )
    manifest = _published_manifest(others)
    if own:
        entry = next(iter(own.values()))
        about = {key: value for key, value in entry["about"].items() if key != "geometry"}
        manifest |= {
            "kind": "ssrkd",
            "geometry": {**entry["about"]["geometry"], **manifest["geometry"]},
            "normalisation": entry["normalisation"],
            "training": {
                "steps": entry["steps"], **entry["options"], **about, **manifest["training"]
            },
        }  # fmt: skip
    return manifest


def _published_manifest(entries: dict[str, Any]) -> dict[str, Any]:
    """:func:`_manifest_of` networks trained on prepared cases."""
    geometry: dict[str, Any] = {}
    normalisation: dict[str, Any] = {"ct": "clip((HU + 400) / 900, 0, 1)"}
    for network, entry in entries.items():
        about = dict(entry["about"]["geometry"])
        if "warning" in about:
            geometry["warning"] = about.pop("warning")
        if network == "teacher":
            geometry |= about
        elif "base" not in entry["normalisation"]:
            if geometry.get("images", about) != about:
                raise WeightsError(
                    "Segmenter and student were trained on images of different pixels.",
                    f"Train the {network} with the other's pixels and pixel_mm.",
                )
            geometry["images"] = about
        own = entry["normalisation"].items()
        normalisation |= {k: v for k, v in own if not k.startswith("base")}
    if "images" in geometry:
        images, (sdd, sad) = geometry.pop("images"), NOMINAL_DISTANCES
        geometry |= {
            "source_to_detector_mm": sdd,
            "source_to_axis_mm": sad,
            "detector_size": [images["pixels"]] * 2,
            "detector_spacing_mm": [images["pixel_mm"] * sdd / sad] * 2,
            "align_corners": True,
        }
        normalisation |= {
            "values": f"natural line integral times {NETWORK_UNITS}",
            "segmenter_factor": 1.0,
        }
    return {
        "kind": "official",
        "labels": LABELS,
        "geometry": geometry,
        "normalisation": normalisation,
        "training": {
            network: {k: entry[k] for k in ("task", "steps", "options", "about")}
            for network, entry in entries.items()
        },
        "scores": {},
        "licence": "for research, not for diagnosis; the licence is the data's owner's to give",
    }


def _check_fits(
    networks: dict[str, Any], entries: dict[str, Any], manifest: dict[str, Any], base: Bundle
) -> None:
    """Refuse networks that the rest of a bundle cannot work with."""
    for network, entry in entries.items():
        trained_with = _described(entry).get("base_sha256", base.manifest["sha256"])
        if trained_with != base.manifest["sha256"]:
            raise WeightsError(
                f"The {network} was trained with other weights than '{base.manifest['name']}'.",
                "Give the bundle that it was trained with (model.base) as base.",
            )
    kept = {"segmenter", "student"} & set(base.manifest["networks"]) - set(networks)
    for key in ("detector_size", "detector_spacing_mm"):
        new, old = (m["geometry"].get(key) for m in (manifest, base.manifest))
        if kept and new is not None and old is not None and new != old:
            raise WeightsError(
                f"The {kept.pop()} of '{base.manifest['name']}' reads images of other pixels.",
                "Train with its pixels and pixel_mm, or give a checkpoint of your own for it too.",
            )
    own = base.manifest["kind"] == "ssrkd"
    for network, entry in networks.items():
        if network != "teacher" and own == entry["architecture"].startswith("official_"):
            raise WeightsError(
                f"A {network} of architecture {entry['architecture']} does not belong into the "
                f"bundle '{base.manifest['name']}'.",
                "Choose another base, or none.",
            )


def _joined(base: dict[str, Any], manifest: dict[str, Any], networks: set[str]) -> dict[str, Any]:
    """The base's manifest with the descriptions of the new networks."""
    joined = {key: value for key, value in base.items() if key not in ("format", "sha256")}
    joined["geometry"] = {**base["geometry"], **manifest["geometry"]}
    if base["kind"] == "official":
        joined["normalisation"] = {**base["normalisation"], **manifest["normalisation"]}
    elif base["normalisation"] in LOCAL_CONTRAST_NAMES:
        joined["normalisation"] = LOCAL_CONTRAST
    joined["training"] = {**base["training"], **manifest["training"]}
    if networks & {"segmenter", "student"}:
        joined["scores"] = {}  # what the base's were worth is not what these are
    if "student" in networks and "warning" not in manifest["geometry"]:
        joined["geometry"].pop("warning", None)
    if "teacher" in networks and "ct" not in manifest["geometry"]:
        joined["geometry"].pop("ct", None)
    return joined


def _read_scores(path: Path) -> Any:
    return read_json(path, InputError, "Check the file of the scores.")
