"""The module's own list of terms: the four bones, their sides and colours. Slicer's master list
lacks the tibia."""

from __future__ import annotations

import os

import slicer

#: A ``.term.json``, as Slicer's Terminologies module reads it.
FILE = os.path.join(
    os.path.dirname(os.path.abspath(__file__)),
    *(os.pardir, os.pardir, "Resources", "Terminologies", "KneeBones-SSRKD.term.json"),
)


def register():
    """Make the list known to Slicer; again is harmless."""
    module = getattr(slicer.modules, "terminologies", None)
    if module is not None:  # users may switch modules off
        module.logic().LoadTerminologyFromFile(os.path.normpath(FILE))
