"""Configurations of trainings, which strangers may have written: files before their parser sees
them, and the numbers in them before networks are made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.input_files import read_text_bytes

#: Deepest nesting, and most aliases (each may stand for all before it), of a configuration.
_DEEPEST, _ALIASES = 40, 40

#: Smallest and largest whole number by the setting's name; of all others the last.
_RANGES = {
    "seed": (0, 2**32 - 1),
    "workers": (0, 256),
    "threads": (1, 1024),
    "width": (1, 4096),
    "head_channels": (1, 4096),
    "hidden": (1, 4096),
    "embedding": (1, 4096),
    "stacks": (1, 64),
    "depth": (1, 16),
    "batch_size": (1, 4096),
    "pixels": (1, 20_000),
    "size": (1, 1024),
    "checkpoint_every": (1, 2**31),
    "steps_per_epoch": (1, 2**31),
    "knees": (1, 10**6),
}
_OTHERS = (0, 2**31)

_REMEDY = "Correct it; `train.py TASK --help` explains every setting."

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_files(arguments: Sequence[str]) -> None:
    """Look at the configurations of a command line: ``--config`` with a file, or with JSON.

    Raises:
        InputError: absent, no regular file, too large, no YAML, or nested or repeated without end.
    """
    for number, text in enumerate(arguments):
        option, is_joined, value = text.partition("=")
        if option in ("--config", "-c") and (is_joined or number + 1 < len(arguments)):
            value = value if is_joined else arguments[number + 1]
            if value.startswith("{"):
                _check(value.encode(), "--config")
            else:
                _check(read_text_bytes(value), f"'{value}'")


def _check(content: bytes, name: str) -> None:
    depth = aliases = 0
    try:
        # Events come one by one: nothing grows with the nesting.
        for event in yaml.parse(content.decode("utf-8-sig"), _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            aliases += isinstance(event, yaml.AliasEvent)
            if depth > _DEEPEST or aliases > _ALIASES:
                raise InputError(
                    f"{name} is nested more than {_DEEPEST} deep or has more than {_ALIASES} "
                    "aliases, which no configuration does.",
                    "Use one from its authors.",
                )
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"{name} cannot be read as YAML ({told}).", "Correct it.") from error


def check_values(settings: Mapping[str, Any]) -> None:
    """Look at the numbers of a training's settings, as jsonargparse's parser returns them.

    Raises:
        InputError: one that no training works with; it is named.
    """
    for name, value in _numbers(settings, ""):
        if isinstance(value, float):
            if not math.isfinite(value):
                raise InputError(f"{name} is {value}, and must be a finite number.", _REMEDY)
        elif ".init_args." not in name:  # PyTorch's own, which it checks
            low, high = _RANGES.get(name.rpartition(".")[2], _OTHERS)
            if not low <= value <= high:
                raise InputError(f"{name} is {value}, and must be {low} to {high}.", _REMEDY)


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """All numbers with their settings' names, lists' with the list's."""
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _numbers(one, name)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value
    elif hasattr(value, "items"):
        for key, one in value.items():
            yield from _numbers(one, f"{name}.{key}".lstrip("."))
