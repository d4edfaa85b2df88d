"""Cases one after the other, as one job of the panel."""

from __future__ import annotations

import qt

from SSRKDLib.core.errors import Cancelled


class CaseQueue:
    """Runs a job per case; one that fails costs none of the others.

    Has what the panel asks of a :class:`~SSRKDSlicer.worker.worker_job.Job`. Cancelled, it ends
    the case at work and begins no other.

    Args:
        cases: nodes of the cases.
        start: called with a case and onProgress, onDone and onFailed; returns its job.
        onState: called with a case and what it is doing: "waiting", a fraction, or "".
        onProgress, onDone, onFailed: as a job's; onDone gets this object, when all have ended.

    Attributes:
        done: how many cases came to a result.
        failed: how many did not.
        left: cases that were not begun.
    """

    def __init__(self, cases, start, onState, onProgress, onDone, onFailed):
        self.left, self._start, self._onState = list(cases), start, onState
        self._onProgress, self._onDone = onProgress, onDone
        self.finished = self.cancelling = False
        self.done = self.failed = 0
        self._count, self._job, self.stage = len(self.left), None, ""
        for case in self.left:
            onState(case, "waiting")
        qt.QTimer.singleShot(0, self._next)  # never in the call that starts it

    def cancel(self):
        """End the case at work, and begin no other."""
        if not self.cancelling:
            self.cancelling = True
            if self._job is not None:
                self._job.cancel()

    def _next(self):
        if self.cancelling or not self.left:
            self.finished = True
            for case in self.left:
                self._onState(case, "")
            self._onDone(self)
            return
        case, begun = self.left.pop(0), self._count - len(self.left) - 1
        self._onState(case, 0.0)

        def progress(stage, fraction, message):
            self.stage = stage
            self._onState(case, fraction)
            self._onProgress(stage, (begun + fraction) / self._count, message)

        def ended(error=None):
            self._job = None
            self.done += error is None
            self.failed += error is not None and not isinstance(error, Cancelled)
            self._onState(case, "")
            qt.QTimer.singleShot(0, self._next)  # a case may fail before its job is there

        job = self._start(
            case, onProgress=progress, onDone=lambda result: ended(), onFailed=ended
        )  # fmt: skip
        self._job = None if job.finished else job
