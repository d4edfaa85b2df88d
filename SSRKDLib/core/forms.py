"""Whether values that came as JSON are what a program can go on with.

A form is ``float`` (a finite number), :class:`Within`, ``int``, ``str`` (at most :data:`LONGEST`
characters), ``Path`` (such text that is not empty), ``bool`` or None; a set: one of its values;
``[form]``: a list; a dictionary: an object with these entries, where ``"name?"`` need not be there
and others are ignored; a tuple: any of its forms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

#: Longest text, characters.
LONGEST = 10_000

_WORDS = {
    float: "a finite number",
    int: "a whole number",
    str: "text",
    Path: "a path",
    bool: "true or false",
    None: "null",
}


@dataclass(frozen=True)
class Within:
    """A number from ``low`` to ``high``."""

    low: float
    high: float


def misfit(value: object, form: object, name: str = "it") -> str | None:
    """What is wrong with a value, as one sentence without its end; None where it has the form."""
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return f"{name} must be an object"
        for key, inner in form.items():
            entry = key.rstrip("?")
            if entry not in value and entry == key:
                return f"'{entry}' is missing"
            wrong = misfit(value[entry], inner, f"'{entry}'") if entry in value else None
            if wrong is not None:
                return wrong
        return None
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{name} must be a list"
        wrong = (misfit(one, form[0], f"each of {name}") for one in value)
        return next((sentence for sentence in wrong if sentence is not None), None)
    forms = form if isinstance(form, tuple) else (form,)
    if len(forms) > 1 and any(misfit(value, one) is None for one in forms):
        return None
    objects = [one for one in forms if isinstance(one, dict) and isinstance(value, dict)]
    if objects:
        return misfit(value, objects[0], name)
    if len(forms) == 1 and _is(value, form):
        return None
    return f"{name} must be {' or '.join(map(_words, forms))} (got {_short(value)})"


def _is(value: object, form: object) -> bool:
    if isinstance(form, set):
        return isinstance(value, (str, int, float)) and value in form
    if isinstance(form, Within):
        return _is(value, float) and form.low <= value <= form.high
    if form is None:
        return value is None
    if form is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and abs(value) < 1e300 and math.isfinite(value)
    if form is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if form is Path:
        return _is_text(value) and value != ""
    return _is_text(value) if form is str else isinstance(value, form)


def _is_text(value: object) -> bool:
    """Text that may be the name of a file."""
    if not isinstance(value, str) or len(value) > LONGEST or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _short(value: object) -> str:
    if isinstance(value, str):
        return ascii(value[:40])
    return repr(value) if value is None or isinstance(value, (int, float)) else "a list or object"


def _words(form: object) -> str:
    if isinstance(form, set):
        return " or ".join(sorted(map(repr, form)))
    if isinstance(form, Within):
        return f"a number from {form.low:g} to {form.high:g}"
    if isinstance(form, list):
        return f"a list of which each is {_words(form[0])}"
    if isinstance(form, tuple):
        return " or ".join(map(_words, form))
    return "an object" if isinstance(form, dict) else _WORDS[form]
