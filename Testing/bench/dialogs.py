"""Records the messages and questions of ``slicer.util``, and answers them as a test demands."""

from __future__ import annotations

from dataclasses import dataclass, field

_KINDS = {
    "errorDisplay": "error",
    "warningDisplay": "warning",
    "infoDisplay": "info",
    "confirmOkCancelDisplay": "ok_cancel",
    "confirmYesNoDisplay": "yes_no",
}


@dataclass
class Dialogs:
    """What was shown to the user, and what the user answers.

    Attributes:
        shown: ``(kind, text)`` of each message and question, in order; kinds are ``error``,
            ``warning``, ``info``, ``ok_cancel`` and ``yes_no``.
        answer: to questions: True, False, or a function of ``(kind, text)``.
    """

    shown: list[tuple[str, str]] = field(default_factory=list)
    answer: object = True

    def texts(self, *kinds: str) -> list[str]:
        """Texts of some kinds, all without any."""
        return [text for kind, text in self.shown if not kinds or kind in kinds]

    def install(self, monkeypatch) -> None:
        """Take the place of ``slicer.util``'s functions until the test ends."""
        import slicer

        for name, kind in _KINDS.items():
            monkeypatch.setattr(slicer.util, name, self._stand_in(kind))

    def _stand_in(self, kind: str):
        def show(text, *_arguments, **_named):
            self.shown.append((kind, text))
            return bool(self.answer(kind, text) if callable(self.answer) else self.answer)

        return show
