"""Runs steps one after the other and writes what became of them."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

LEVELS = ("smoke", "full")

#: The longest that anything is waited for, s.
_PATIENCE = 300.0


class Skip(Exception):
    """Raised by a step that cannot run here; its text is the reason."""


@dataclass(frozen=True)
class Step:
    """One thing that is done and looked at.

    Attributes:
        name: short, unique; ``Docs/first-run.md`` refers to it.
        title: a sentence on what must be seen.
        level: the first level that it belongs to.
        run: does it; gets the :class:`Session`, returns what was measured, or None.
        sections: of the panel that are open meanwhile; empty: as they are.
    """

    name: str
    title: str
    level: str
    run: object
    sections: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What became of a step.

    Attributes:
        outcome: one of :data:`PASSED`, :data:`FAILED`, :data:`SKIPPED`.
        detail: what was measured, or why it was skipped or failed.
        traceback: of a failure.
        seconds: that it took.
        picture: file beside the report, or "".
    """

    name: str
    title: str
    outcome: str = PASSED
    detail: str = ""
    traceback: str = ""
    seconds: float = 0.0
    picture: str = ""


@dataclass
class Session:
    """What steps share.

    Attributes:
        host: :mod:`Testing.slicer.hosts`.
        folder: of the report; files of steps go below it.
        widget: the module's ``SSRKDWidget`` once the panel was opened.
        fresh: whether the panel was never opened in this process before.
    """

    host: object
    folder: Path
    widget: object = None
    fresh: bool = field(default=True)

    @property
    def slicer(self):
        return self.host.slicer

    @property
    def ui(self):
        """The panel's widgets by name."""
        return self._opened().ui

    @property
    def panel(self):
        """The inner object of the panel."""
        return self._opened().panel

    def _opened(self):
        if self.widget is None:
            raise Skip("the panel did not open, which an earlier step tells")
        return self.widget

    @property
    def parameters(self):
        return self.panel.parameters

    def unfold(self, sections: tuple[str, ...]) -> None:
        """Open some of the panel's sections, and fold all others."""
        for name, widget in vars(self.ui).items():
            title = name.removesuffix("Section").removesuffix("Group")
            if title != name:
                widget.collapsed = title not in sections
        self.slicer.app.processEvents()

    def place(self, name: str) -> Path:
        """A folder for a step's files, made if need be."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def settle(self) -> None:
        """Let the running job end and the panel follow."""
        self.slicer.app.processEvents()
        self.wait(lambda: self.panel.job is None, "the end of the job")
        self.slicer.app.processEvents()

    def wait(self, condition, what: str) -> None:
        """Let events run until something holds."""
        until = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < until, f"{what} did not come within {_PATIENCE:.0f} s"
            self.slicer.app.processEvents()
            time.sleep(0.005)

    def click(self, button) -> None:
        """Click a button that a user could click."""
        name = button.objectName
        assert button.visible, f"{name} is not shown: its section is folded"
        assert button.enabled, f"{name} is disabled: {button.toolTip}"
        button.click()
        self.slicer.app.processEvents()

    def clear(self) -> None:
        """Close the scene, and let the panel follow."""
        self.slicer.mrmlScene.Clear(0)
        self.slicer.app.processEvents()

    def status(self) -> str:
        """The sentence below the button."""
        return self.ui.statusLabel.text


def needs_torch() -> None:
    """Skip a step where PyTorch is not installed; it is not imported."""
    if importlib.util.find_spec("torch") is None:
        raise Skip("PyTorch is not installed in this Python")


def run(host, level: str, report, pictures: bool = True, fresh: bool = True) -> int:
    """Run the steps of a level; a failed one does not keep the others from running.

    Args:
        host: :mod:`Testing.slicer.hosts`.
        level: one of :data:`LEVELS`; the steps of earlier levels run, too.
        report: JSON file to write; its folder is made if need be.
        pictures: whether to save a picture after each step.
        fresh: whether the panel was never opened in this process.

    Returns:
        0 where no step failed, else 1.
    """
    from Testing.slicer.steps import STEPS

    report = Path(report).resolve()
    report.parent.mkdir(parents=True, exist_ok=True)
    session = Session(host, report.parent, fresh=fresh)
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    wanted = LEVELS[: LEVELS.index(level) + 1]
    with _logged(report.parent / "python.log"):
        outcomes = [
            _run_step(session, step, report.parent if pictures else None)
            for step in STEPS
            if step.level in wanted
        ]
    (report.parent / "application.log").write_text(host.log(), encoding="utf-8")
    about = {"level": level, "started": started, **host.about()}
    text = {"about": about, "steps": [asdict(outcome) for outcome in outcomes]}
    report.write_text(json.dumps(text, indent=1, ensure_ascii=False), encoding="utf-8")
    counts = {kind: sum(o.outcome == kind for o in outcomes) for kind in (PASSED, FAILED, SKIPPED)}
    print(f"{counts[PASSED]} passed, {counts[FAILED]} failed, {counts[SKIPPED]} skipped: {report}")
    return int(counts[FAILED] > 0)


def _run_step(session: Session, step: Step, pictures: Path | None) -> Outcome:
    made = Outcome(step.name, step.title)
    started = time.monotonic()
    session.host.faults()
    try:
        if step.sections and session.widget is not None:
            session.unfold(step.sections)
        made.detail = step.run(session) or ""
        unseen = session.host.faults()
        assert not unseen, "went wrong unseen:\n" + "\n".join(unseen)
    except Skip as reason:
        made.outcome, made.detail = SKIPPED, str(reason)
    except Exception as error:
        made.outcome, made.traceback = FAILED, traceback.format_exc()
        made.detail = f"{type(error).__name__}: {error}"
        logging.exception("step %s", step.name)
    made.seconds = round(time.monotonic() - started, 2)
    if pictures is not None and session.widget is not None and made.outcome != SKIPPED:
        try:
            path = pictures / f"{step.name}.png"
            made.picture = path.name if session.host.picture(path) else ""
        except Exception:  # a picture that fails must not cost the report
            logging.exception("picture of step %s", step.name)
    print(f"{made.outcome:8} {made.seconds:6.1f} s  {made.name}: {made.detail}".rstrip())
    sys.stdout.flush()
    return made


@contextlib.contextmanager
def _logged(path: Path):
    """Python's log, in a file of its own."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
