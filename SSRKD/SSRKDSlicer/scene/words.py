"""Names that the library uses in English, in the user's language."""

from __future__ import annotations

import os.path
import re

from slicer.i18n import tr as _
from slicer.i18n import translate

_WORDS = {
    "patella": _("patella"),
    "femur": _("femur"),
    "fibula": _("fibula"),
    "tibia": _("tibia"),
    "frontal": _("frontal"),
    "lateral": _("lateral"),
    "all bones": _("all bones"),
    "mean": _("mean"),
}


def word(name):
    """A bone, a view or a row of a table as the user calls it; another name as it is."""
    return _WORDS.get(name, name)


def capitalised(name):
    """:func:`word` at the beginning of a line."""
    return word(name).capitalize()


def kneeOf(side):
    """ "left knee", for people; "knee" where the side ("L", "R" or None) is not known."""
    return {"L": _("left knee"), "R": _("right knee")}.get(side, _("knee"))


def kneeOfPair(names):
    """What a case is called after its radiographs: after the words that both names begin with, else
    after the first."""
    shared = re.sub(r"[^ _(-]*$", "", os.path.commonprefix(names)).strip(" _(-")
    if shared.casefold() == "knee":
        return _("Knee")
    return _("Knee of {name}").format(name=shared or names[0])


def listed(names):
    """ "PyTorch and safetensors", "patella, femur and tibia"."""
    *first, last = names
    if not first:
        return last
    return _("{names} and {last}").format(names=", ".join(first), last=last)


def said(sentence):
    """A sentence of the library in the user's language.

    Args:
        sentence: :class:`SSRKDLib.core.messages.Message`, or text that is its own key.
    """
    there = translate("SSRKDLib", getattr(sentence, "template", sentence)) if sentence else ""
    values = getattr(sentence, "values", None)
    if not values:
        return there
    return there.format(
        **{
            name: word(said(value)) if isinstance(value, str) else value
            for name, value in values.items()
        }
    )


def errorText(error):
    """Cause and remedy of an :class:`SSRKDLib.core.errors.SSRKDError` in the user's language."""
    return f"{said(error.cause)} {said(error.remedy)}".strip()
