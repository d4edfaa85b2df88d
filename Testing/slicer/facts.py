"""What PythonQt does: ``Testing/bench/facts.json``, evaluated in Slicer and on the bench."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "bench" / "facts.json"


def read() -> list[dict]:
    """The facts that can be tried without a person."""
    facts = json.loads(FILE.read_text(encoding="utf-8"))["facts"]
    return [fact for fact in facts if not fact.get("asks")]


def expected(fact: dict, kind: str) -> str:
    """What must come out.

    Args:
        fact: one of :func:`read`.
        kind: of the host, see :mod:`Testing.slicer.hosts`.
    """
    return fact.get("bench", fact["outcome"]) if kind == "bench" else fact["outcome"]


def evaluate(fact: dict) -> str:
    """What comes out here: the value's ``repr``, or the kind of error that is raised."""
    import ctk
    import numpy
    import qt
    import slicer

    names = {"__name__": "fact", "ctk": ctk, "numpy": numpy, "qt": qt, "slicer": slicer}
    try:
        exec(fact.get("setup", ""), names)
        return repr(eval(fact["expression"], names))
    except Exception as error:
        return f"raises {type(error).__name__}"


def difference(fact: dict, kind: str) -> str:
    """A sentence on a fact that is not one here; empty where it is."""
    wanted, found = expected(fact, kind), evaluate(fact)
    if found == wanted or (wanted == "raises" and found.startswith("raises ")):
        return ""
    return f"{fact['expression']}: {found} instead of {wanted}"
