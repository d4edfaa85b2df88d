"""Whether values that came as JSON are what a program can go on with.

A form is ``float`` (a finite number), ``int``, ``str`` (at most :data:`LONGEST` characters),
``bool`` or None; a set: one of its values; ``[form]``: a list; a dictionary: an object with these
entries, where ``"name?"`` need not be there and others are ignored; a tuple: any of its forms.
"""

from __future__ import annotations

import math

#: Longest text, characters.
LONGEST = 10_000

_WORDS = {
    float: "a finite number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
    None: "null",
}


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
    return None if _is(value, forms[0]) else f"{name} must be {' or '.join(map(_words, forms))}"


def _is(value: object, form: object) -> bool:
    if isinstance(form, (set, frozenset)):
        return isinstance(value, (str, int, float)) and value in form
    if form is None:
        return value is None
    if form is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and abs(value) < 1e300 and math.isfinite(value)
    if form is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, form) and (form is not str or len(value) <= LONGEST)


def _words(form: object) -> str:
    if isinstance(form, (set, frozenset)):
        return " or ".join(sorted(map(repr, form)))
    if isinstance(form, list):
        return f"a list of which each is {_words(form[0])}"
    if isinstance(form, tuple):
        return " or ".join(map(_words, form))
    return "an object" if isinstance(form, dict) else _WORDS[form]
