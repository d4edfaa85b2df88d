"""What the module keeps in scenes as JSON: scenes also come from others, and are damaged."""

from __future__ import annotations

from SSRKDLib.core.forms import misfit
from SSRKDLib.core.input_files import parse_json


def storedObject(text, form):
    """The object in an attribute or parameter of a node; {} where it is empty.

    Args:
        text: what the node has, or None.
        form: what the object must look like, see :mod:`SSRKDLib.core.forms`.

    Raises:
        ValueError: it is none, or another one.
    """
    if not text:
        return {}
    try:
        values = parse_json(text.encode("utf-8", "surrogateescape"))
    except RecursionError as error:
        raise ValueError("nesting") from error
    wrong = misfit(values, form)
    if wrong is not None:
        raise ValueError(wrong)
    return values
