"""A job of the worker, and the errors that it may end with."""

from __future__ import annotations

import logging
import os
import re
import traceback

from slicer.i18n import tr as _

from SSRKDLib.core.errors import Cancelled, SSRKDError, describe_unexpected
from SSRKDLib.core.log_text import shortened


class WorkerError(SSRKDError):
    """A job failed in the worker, or the worker itself did.

    Attributes:
        kind: name of the error's class in the worker; "WorkerLost" where the process ended.
        log: a traceback or what the worker printed last, or "".
    """

    def __init__(self, cause, remedy="", kind="WorkerLost", log=""):
        super().__init__(cause, remedy)
        self.kind, self.log = kind, log


class Job:
    """One job that was given to the worker.

    Args:
        onProgress: called with stage, fraction (0 to 1) and message.
        onDone: called with the result, a dictionary.
        onFailed: called with an :class:`SSRKDError`; :class:`Cancelled` where the user stopped it.
    """

    def __init__(self, worker, number, onProgress=None, onDone=None, onFailed=None):
        self._worker, self.number = worker, number
        self._onProgress, self._onDone, self._onFailed = onProgress, onDone, onFailed
        self.finished = self.cancelling = False
        self.stage = self.file = ""  # where it is, and what it reads

    def cancel(self):
        """Stop the job; it has failed with :class:`Cancelled` within a second."""
        if not self.finished and not self.cancelling:
            self.cancelling = True
            self._worker.cancel(self)

    def progress(self, stage, fraction, message):
        self.stage = stage
        if self._onProgress is not None and not self.finished and not self.cancelling:
            self._call(self._onProgress, stage, fraction, message)

    def done(self, result):
        if not self.finished:
            self.finished = True
            if self.cancelling:
                self._call(self._onFailed, Cancelled())
            else:
                self._call(self._onDone, result)

    def failed(self, error):
        if not self.finished:
            self.finished = True
            self._call(self._onFailed, Cancelled() if self.cancelling else error)

    @staticmethod
    def _call(callback, *what):
        """Call back; an error in there must not cost other jobs their callbacks."""
        if callback is not None:
            try:
                callback(*what)
            except Exception:
                logging.exception("SSRKD: an error in what a job calls back")


#: What Python's faulthandler prints of a crash in native code.
_CRASH = re.compile(r"Fatal Python error: ([^\n]{1,80})")

#: Stages in which a job's file is read.
_READING = ("start", "read", "volume", "import")


def endOf(code, printed, job):
    """What to say of a worker process that ended by itself.

    Args:
        code: its exit code.
        printed: what it printed last.
        job: that it was at work on, or None.
    """
    crash = _CRASH.search(printed)
    if crash is None:
        return WorkerError(
            _("The worker process ended in the middle of its work (exit code {code}).").format(
                code=code
            ),
            _(
                "Click again: a new one is started. If it happens again, the memory may be too "
                "small; close other programs or choose a coarser resolution."
            ),
            log=shortened(printed),
        )
    reading = job is not None and job.file and job.stage in _READING
    if reading:
        return WorkerError(
            _(
                "The worker process crashed in native code while '{name}' was read ({crash})."
            ).format(name=os.path.basename(job.file), crash=crash[1]),
            _(
                "Click again: a new one is started. If it happens again, export that image anew, "
                "or report it with the log."
            ),
            log=shortened(printed),
        )
    return WorkerError(
        _("The worker process crashed in native code ({crash}).").format(crash=crash[1]),
        _("Click again: a new one is started. If it happens again, report it with the log."),
        log=shortened(printed),
    )


def unexpected(error):
    """An error that nobody foresaw, as one that can be shown; its traceback goes to the log."""
    return WorkerError(
        describe_unexpected(error),
        _("Please report it with the log."),
        "Unexpected",
        shortened(traceback.format_exc()),
    )


def errorFrom(message, printed):
    """The error of a worker's message; ``printed``: what it printed last."""
    remedy = message["remedy"]
    if message["kind"] == "MissingDependencyError":
        remedy = _("Open the section Installation and click 'Install PyTorch'.")
    log = message["log"] or printed[-4000:]
    return WorkerError(message["cause"], remedy, message["kind"], log)
