"""Records the messages and questions of ``slicer.util``, and answers them as a test says."""

from __future__ import annotations

from dataclasses import dataclass, field

_MESSAGES = {"errorDisplay": "error", "warningDisplay": "warning", "infoDisplay": "info"}
_QUESTIONS = {
    "confirmOkCancelDisplay": "ok_cancel",
    "confirmYesNoDisplay": "yes_no",
    "confirmRetryCloseDisplay": "retry_close",
}


@dataclass
class Dialogs:
    """What was shown to the user, and what the user answers.

    Attributes:
        shown: ``(kind, text)`` of each message and question, in order; kinds are ``error``,
            ``warning``, ``info``, ``ok_cancel``, ``yes_no`` and ``retry_close``.
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

        for name, kind in _MESSAGES.items():
            monkeypatch.setattr(slicer.util, name, self._message(kind))
        for name, kind in _QUESTIONS.items():
            monkeypatch.setattr(slicer.util, name, self._question(kind))

    def _message(self, kind: str):
        def show(text, *_arguments, **_named):
            self.shown.append((kind, text))

        return show

    def _question(self, kind: str):
        def ask(text, *_arguments, **_named):
            self.shown.append((kind, text))
            return bool(self.answer(kind, text) if callable(self.answer) else self.answer)

        return ask
