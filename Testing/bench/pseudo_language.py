"""A language in which every letter has an accent and every word is longer: what a panel does in
translation is seen before there is one."""

from __future__ import annotations

import math
import re

from PySide6 import QtCore

_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ACCENTED = "áƀçđéƒğĥíĵķłɱñóþɋřšťúṽŵẋýžÁƁÇĐÉƑĞĤÍĴĶŁṀÑÓÞɊŘŠŤÚṼŴẊÝŽ"
_ACCENTS = str.maketrans(_PLAIN, _ACCENTED)

#: How much longer words are: what German has over English.
_LONGER = 1.3

#: What no translator changes: placeholders, tags, entities, formats, names of files, addresses.
_KEPT = re.compile(r"(\{[^}]*\}|<[^>]*>|&\w+;|%\w|\*\.\w+|\w+://\S+)")


def pseudo(text: str) -> str:
    """A text in that language."""
    parts = _KEPT.split(text)
    return "".join(part if number % 2 else _words(part) for number, part in enumerate(parts))


def _words(text: str) -> str:
    return re.sub(r"[A-Za-z]+", lambda found: _word(found[0]), text)


def _word(word: str) -> str:
    more = math.ceil(len(word) * (_LONGER - 1)) if len(word) > 1 else 0
    middle = len(word) // 2
    return (word[:middle] + word[middle] * more + word[middle:]).translate(_ACCENTS)


class Translator(QtCore.QTranslator):
    """Translates everything that it is asked for, and keeps the keys by context.

    Attributes:
        asked: (context, key) pairs.
    """

    def __init__(self):
        super().__init__()
        self.asked: set[tuple[str, str]] = set()

    def isEmpty(self):
        return False

    def translate(self, context, source, _disambiguation=None, _n=-1):
        self.asked.add((context, source))
        return pseudo(source)


def install() -> Translator:
    """Speak it from here on; call this before a module is loaded."""
    translator = Translator()
    QtCore.QCoreApplication.installTranslator(translator)
    return translator
