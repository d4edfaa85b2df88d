"""The worker process, seen from Slicer: started on first use, alive between jobs.

Slicer starts Python through a launcher, so that killing the process that Slicer started may leave
the worker itself alive. The worker therefore tells its own process number, and ends by itself when
its standard input closes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import traceback
from contextlib import suppress
from pathlib import Path

import qt
import slicer

import SSRKDLib
from SSRKDLib.errors import Cancelled, MissingDependencyError, SSRKDError
from SSRKDLib.worker.protocol import LineReader, encode

#: A job that does not stop by itself within this time is ended with the worker, ms.
CANCEL_MS = 700

#: What is kept of what the worker prints, characters.
_KEPT = 20000


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
        self.stage = ""

    def cancel(self):
        """Stop the job; it has failed with :class:`Cancelled` within a second."""
        if not self.finished and not self.cancelling:
            self.cancelling = True
            self._worker.cancel(self)

    def progress(self, stage, fraction, message):
        self.stage = stage
        if self._onProgress is not None and not self.finished and not self.cancelling:
            self._onProgress(stage, fraction, message)

    def done(self, result):
        if not self.finished:
            self.finished = True
            if self.cancelling:
                self._say(self._onFailed, Cancelled())
            else:
                self._say(self._onDone, result)

    def failed(self, error):
        if not self.finished:
            self.finished = True
            self._say(self._onFailed, Cancelled() if self.cancelling else error)

    @staticmethod
    def _say(callback, what):
        if callback is not None:
            callback(what)


class WorkerClient:
    """The worker process and the jobs that it was given.

    Args:
        command: program and arguments; None: Slicer's Python with ``-m SSRKDLib worker``.
    """

    def __init__(self, command=None):
        self._command = command
        self._process = None
        self._pid = None
        self._jobs = {}
        self._count = 0
        self._reader = LineReader()
        self._printed = ""

    @property
    def running(self):
        """Whether the process is there."""
        return self._process is not None

    def submit(self, request, onProgress=None, onDone=None, onFailed=None):
        """Give the worker a job; it is started if need be. Never raises: ``onFailed`` tells.

        Args:
            request: see :mod:`SSRKDLib.worker.tasks`.
            onProgress, onDone, onFailed: see :class:`Job`.

        Returns:
            The :class:`Job`.
        """
        self._count += 1
        job = Job(self, self._count, onProgress, onDone, onFailed)
        self._jobs[job.number] = job
        try:
            if self._process is None:
                self._start()
        except SSRKDError as error:
            del self._jobs[job.number]
            job.failed(error)
            return job
        self._write({"id": job.number, **request})
        return job

    @staticmethod
    def refused(error, onFailed):
        """A job that failed before it could be given to the worker."""
        job = Job(None, 0, onFailed=onFailed)
        job.failed(error)
        return job

    def cancel(self, job):
        """Ask for the end of a job, and make it so if that does not help."""
        if self._process is None:
            self._endJob(job.number, "failed", Cancelled())
            return
        self._write({"cancel": job.number})

        def makeSure():
            if not job.finished:
                self.stop()

        qt.QTimer.singleShot(CANCEL_MS, makeSure)

    def stop(self):
        """End the process, whatever it does; its jobs fail."""
        process, pid = self._process, self._pid
        self._process = self._pid = None
        if process is not None:
            for signature, slot in self._slots():
                process.disconnect(signature, slot)
            process.closeWriteChannel()
            _endProcess(pid)
            process.kill()
            process.waitForFinished(1000)
            process.deleteLater()
        self._failAll(WorkerError("The worker was stopped.", "Start the job again."))

    def _slots(self):
        return (
            ("readyReadStandardOutput()", self._onOutput),
            ("readyReadStandardError()", self._onPrinted),
            ("finished(int,QProcess::ExitStatus)", self._onFinished),
            ("errorOccurred(QProcess::ProcessError)", self._onError),
        )

    def _start(self):
        program, *arguments = self._command or workerCommand()
        self._reader, self._printed = LineReader(), ""
        process = qt.QProcess()
        for signature, slot in self._slots():
            process.connect(signature, slot)
        environment = qt.QProcessEnvironment.systemEnvironment()
        root = str(Path(SSRKDLib.__file__).resolve().parents[1])
        paths = [root, *filter(None, [environment.value("PYTHONPATH", "")])]
        environment.insert("PYTHONPATH", os.pathsep.join(paths))
        environment.insert("PYTHONUNBUFFERED", "1")
        process.setProcessEnvironment(environment)
        self._process = process
        process.start(program, arguments)

    def _write(self, message):
        self._process.write(encode(message))

    def _onOutput(self):
        if self._process is None:
            return
        data = bytes(self._process.readAllStandardOutput().data())
        for message in self._reader.feed(data):
            if message.get("event") == "ready":
                self._pid = message["pid"]
            else:
                self._onMessage(message)

    def _onMessage(self, message):
        job = self._jobs.get(message.get("id"))
        event = message.get("event")
        if job is None:
            return
        if event == "progress":
            job.progress(message["stage"], message["fraction"], message["message"])
        elif event == "result":
            self._endJob(job.number, "done", message["result"])
        elif event == "cancelled":
            self._endJob(job.number, "failed", Cancelled())
        elif event == "error":
            self._endJob(job.number, "failed", _errorFrom(message, self._printed))

    def _endJob(self, number, how, what):
        job = self._jobs.pop(number, None)
        if job is not None:
            getattr(job, how)(what)

    def _onPrinted(self):
        if self._process is not None:
            data = bytes(self._process.readAllStandardError().data())
            self._printed = (self._printed + data.decode(errors="replace"))[-_KEPT:]

    def _onFinished(self, *args):
        if self._process is None:
            return
        self._onOutput()
        self._onPrinted()
        code = args[0] if args else "?"
        process, self._process, self._pid = self._process, None, None
        process.deleteLater()
        self._failAll(
            WorkerError(
                f"The worker process ended in the middle of its work (exit code {code}).",
                "Click again: a new one is started. If it happens again, the memory may be too "
                "small; close other programs or choose a coarser resolution.",
                log=self._printed,
            )
        )

    def _onError(self, *args):
        # A process that started tells its end by finished().
        process = self._process
        if process is None or process.state() != qt.QProcess.NotRunning or self._pid is not None:
            return
        if args and int(getattr(args[0], "value", args[0])) != 0:
            return
        self._process = None
        process.deleteLater()
        program = (self._command or workerCommand())[0]
        self._failAll(
            WorkerError(
                f"The worker could not be started ('{program}').",
                "Check that Slicer's installation is complete and that no security software "
                "blocks it.",
            )
        )

    def _failAll(self, error):
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.failed(error)


def workerCommand():
    """Program and arguments of the worker.

    Raises:
        MissingDependencyError: Slicer's Python is not found.
    """
    program = shutil.which("PythonSlicer") or shutil.which(
        "PythonSlicer", path=os.path.join(slicer.app.slicerHome, "bin")
    )
    if program is None:
        raise MissingDependencyError(
            "Slicer's Python (PythonSlicer) is not found.",
            "Install 3D Slicer again; the module runs its networks in that program.",
        )
    return [program, "-m", "SSRKDLib", "worker"]


def _endProcess(pid):
    """End a process by its number, if it is still there."""
    if pid is None:
        return
    if os.name == "nt":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return
    with suppress(OSError):  # it may have ended by itself when its input closed
        os.kill(pid, signal.SIGKILL)


def unexpected(error):
    """An error that nobody foresaw, as one that can be shown; its traceback goes to the log."""
    what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return WorkerError(
        f"This should not have happened ({what}).",
        "The log tells more; please report it.",
        "Unexpected",
        traceback.format_exc(),
    )


def _errorFrom(message, printed):
    remedy = message["remedy"]
    if message["kind"] == "MissingDependencyError":
        remedy = "Open the section Installation and click 'Install PyTorch'."
    log = message["log"] or printed[-4000:]
    return WorkerError(message["cause"], remedy, message["kind"], log)


_shared = []


def sharedWorker():
    """The one worker of this Slicer; it starts with its first job."""
    if not _shared:
        _shared.append(WorkerClient())
    return _shared[0]


def stopSharedWorker():
    """End the worker, if there is one: Slicer is closing, or the module is."""
    while _shared:
        _shared.pop().stop()
