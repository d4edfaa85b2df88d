"""Clinical measures of a reconstruction beside those of its reference."""

from __future__ import annotations

from collections.abc import Sequence

from SSRKDLib.clinical.measures import Measure
from SSRKDLib.core.messages import joined


def compare_measures(recon: Sequence[Measure], reference: Sequence[Measure]) -> list[dict]:
    """A row per measure of the reference, in its order.

    Keys: ``measure`` (its name), ``title``, ``unit``, ``reconstruction``, ``reference``, ``error``
    (reconstruction minus reference; each None where there is none), ``expected_error`` (of the
    reconstruction's value, on average; None where unknown) and ``note``, which says whose value is
    missing and why, and what to mind.

    Args:
        recon, reference: of :func:`~SSRKDLib.clinical.measures.measure`.
    """
    found = {result.name: result for result in recon}
    rows = []
    for truth in reference:
        mine = found.get(truth.name)
        value = None if mine is None else mine.value
        notes = [
            f"{whose}: {result.note[:1].lower()}{result.note[1:].rstrip('.')}"
            for whose, result in (("reconstruction", mine), ("reference", truth))
            if result is not None and result.note
        ]
        known = value is not None and truth.value is not None
        rows.append(
            {
                "measure": truth.name,
                "title": truth.title,
                "unit": truth.unit,
                "reconstruction": value,
                "reference": truth.value,
                "error": value - truth.value if known else None,
                "expected_error": None if mine is None else mine.expected_error,
                "note": joined(notes),
            }
        )
    return rows
