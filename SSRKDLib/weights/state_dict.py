"""Whether weights fit a network: key by key, shape by shape, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.weights.bundle import Bundle

if TYPE_CHECKING:
    from torch import Tensor, nn


def find_misfit(expected: Mapping[str, Tensor], found: Mapping[str, Any]) -> str | None:
    """What does not fit, as half a sentence, or None when everything does.

    Args:
        expected: The network's own ``state_dict`` (meta tensors will do).
        found: What a file holds under the same keys.

    Returns:
        For example ``"2 of 118 entries do not fit, first conv.weight: missing"``.
    """
    problems = []
    for key, wanted in expected.items():
        if key not in found:
            problems.append(f"{key}: missing")
        elif reason := _entry_misfit(wanted, found[key]):
            problems.append(f"{key}: {reason}")
    problems += [f"{key}: unknown" for key in found if key not in expected]
    if not problems:
        return None
    verb = "entry does" if len(problems) == 1 else "entries do"
    return f"{len(problems)} {verb} not fit ({len(expected)} expected), first {problems[0]}"


def load_network(
    bundle: Bundle, name: str, class_of: Callable[[str], type[nn.Module]]
) -> nn.Module:
    """A network of a bundle, on the CPU.

    Args:
        name: which of the bundle's networks.
        class_of: from an architecture as the manifest names it to the class, which is made with
            the arguments in the manifest.

    Raises:
        WeightsError: The bundle lacks it, or arguments or tensors do not fit.
    """
    tensors = bundle.network_tensors(name)
    entry = bundle.manifest["networks"][name]
    kind = class_of(entry["architecture"])
    what = f"{bundle.manifest['name']}: {name}"
    try:
        return built(kind, entry["arguments"], tensors, what)
    except (TypeError, ValueError) as error:
        raise misfit(bundle.manifest, f"{name}: {error}") from error


def built(
    kind: type[nn.Module], arguments: Mapping[str, Any], tensors: Mapping[str, Tensor], what: str
) -> nn.Module:
    """A network with its weights. It is built without memory first, and no farther than there are
    tensors for it: a file may ask for a network of any size.

    Args:
        what: names the tensors in the message, for example ``"virtual-knee: student"``.

    Raises:
        ValueError: the arguments make no network.
        WeightsError: the tensors are those of another one.
    """
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook

    made = [0]

    def count(*_: object) -> None:
        made[0] += 1
        if made[0] > len(tensors):
            raise ValueError(f"it has more than the {len(tensors)} parameters in the file")

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            plan = kind(**arguments)
    except Exception as error:  # whatever absurd arguments make PyTorch raise
        raise ValueError(" ".join(str(error).split())[:200]) from error
    finally:
        hook.remove()
    if found := find_misfit(plan.state_dict(), tensors):
        raise WeightsError(
            "The weights of {what} are for another architecture: {found}.",
            "Use weights made for this version of SSRKD.",
            what=what,
            found=found,
        )
    network = kind(**arguments)
    network.load_state_dict(dict(tensors))
    return network


def misfit(manifest: Mapping[str, Any], what: str) -> WeightsError:
    """The error of a bundle whose manifest this version cannot use, and why."""
    return WeightsError(
        "The weights '{name}' were made for another version of SSRKD ({what}).",
        "Use weights made for this version, or update SSRKD.",
        name=manifest["name"],
        what=what,
    )


def _entry_misfit(wanted: Tensor, found: Any) -> str | None:
    if not hasattr(found, "is_floating_point") or found.is_meta or found.layout != wanted.layout:
        return "not a plain tensor"
    if found.shape != wanted.shape:
        return f"shape {tuple(found.shape)} instead of {tuple(wanted.shape)}"
    if found.is_floating_point() != wanted.is_floating_point():
        return f"type {found.dtype} instead of {wanted.dtype}"
    return None
