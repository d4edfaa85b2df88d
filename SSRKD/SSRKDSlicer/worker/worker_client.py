"""The worker process, seen from Slicer: started on first use, alive between jobs.

Slicer starts Python through a launcher, so that killing the process that Slicer started may leave
the worker itself alive. The worker therefore reports its own process number, and ends by itself
when its standard input closes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

import SSRKDLib
from SSRKDLib.core.errors import Cancelled, MissingDependencyError, SSRKDError
from SSRKDLib.worker.protocol import LineReader, encode

from .worker_job import Job, WorkerError, endOf, errorFrom

#: A job that does not stop by itself within this time is ended with the worker, ms.
CANCEL_MS = 700

#: While there are jobs, the worker is asked this often whether it listens, ms; it is ended when
#: it leaves so many questions without an answer. Counted, since a computer may sleep meanwhile.
PING_MS, DEAF = 5000, 12

#: What is kept of what the worker prints, characters.
_KEPT = 20000

#: Entries of requests that name what a job reads.
_READ = ("ct", "rig", "recon")


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
        self._unanswered = None  # pings; None while none is sent

    @property
    def running(self):
        """Whether the process is there."""
        return self._process is not None

    def submit(self, request, onProgress=None, onDone=None, onFailed=None):
        """Give the worker a job; it is started if need be. Never raises: ``onFailed`` gets the
        error.

        Args:
            request: see :mod:`SSRKDLib.worker.tasks`.
            onProgress, onDone, onFailed: see :class:`Job`.

        Returns:
            The :class:`Job`.
        """
        self._count += 1
        job = Job(self, self._count, onProgress, onDone, onFailed)
        job.file = next((request[key] for key in _READ if isinstance(request.get(key), str)), "")
        self._jobs[job.number] = job
        try:
            if self._process is None:
                self._start()
        except SSRKDError as error:
            del self._jobs[job.number]
            job.failed(error)
            return job
        if not job.finished:  # else it could not be started, which Windows reports at once
            self._write({"id": job.number, **request})
            if self._unanswered is None:
                self._unanswered = 0
                qt.QTimer.singleShot(PING_MS, self._ping)
        return job

    def _ping(self):
        """Ask whether the worker listens, as long as there are jobs."""
        if self._process is None or not self._jobs:
            self._unanswered = None
        elif self._unanswered >= DEAF:
            self._unanswered = None
            self._end(
                WorkerError(
                    _("The worker process did not answer any more and was ended."),
                    _(
                        "Click again: a new one is started. If it happens again, report it "
                        "with the log."
                    ),
                    log=self._printed,
                )
            )
        else:
            self._unanswered += 1
            self._write({"ping": self._unanswered})
            qt.QTimer.singleShot(PING_MS, self._ping)

    @staticmethod
    def refused(error, onFailed):
        """A job that failed before it could be given to the worker."""
        job = Job(None, 0, onFailed=onFailed)
        job.failed(error)
        return job

    def cancel(self, job):
        """Ask for the end of a job, and make it so if that does not help."""
        if self._process is not None:
            self._write({"cancel": job.number})
        if self._process is None or job is not next(iter(self._jobs.values()), None):
            # It waits behind another: only the worker's list knows of it.
            self._endJob(job.number, "failed", Cancelled())
            return

        def makeSure():
            if not job.finished:
                self.stop()

        qt.QTimer.singleShot(CANCEL_MS, makeSure)

    def stop(self):
        """End the process, whatever it does; its jobs fail."""
        self._end(WorkerError(_("The worker was stopped."), _("Start the job again.")))

    def _end(self, error):
        if self._process is not None:
            pid, process = self._pid, self._letGo()
            process.closeWriteChannel()
            _endProcess(pid)
            process.kill()
            process.waitForFinished(1000)
        self._failAll(error)

    def _letGo(self):
        """Part with the process; returned for what is left to be done with it.

        It may be in the middle of one of its own signals. Its parent keeps it, whatever Python
        does, until control is back in the event loop.
        """
        process, self._process, self._pid = self._process, None, None
        process.blockSignals(True)
        process.deleteLater()
        return process

    def _start(self):
        program, *arguments = self._command or workerCommand()
        self._reader, self._printed = LineReader(), ""
        if self._unanswered:
            self._unanswered = 0
        process = qt.QProcess(slicer.app)
        process.connect("readyReadStandardOutput()", self._onOutput)
        process.connect("readyReadStandardError()", self._onPrinted)
        process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._onError)
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
        if data and self._unanswered:
            self._unanswered = 0
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
            self._endJob(job.number, "failed", errorFrom(message, self._printed))

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
        self._letGo()
        self._failAll(
            endOf(args[0] if args else "?", self._printed, next(iter(self._jobs.values()), None))
        )

    def _onError(self, *args):
        # A process that started reports its end by finished().
        process = self._process
        if process is None or process.state() != qt.QProcess.NotRunning or self._pid is not None:
            return
        if args and int(getattr(args[0], "value", args[0])) != 0:
            return
        self._letGo()
        program = (self._command or workerCommand())[0]
        self._failAll(
            WorkerError(
                _("The worker could not be started ('{program}').").format(program=program),
                _(
                    "Check that Slicer's installation is complete and that no security software "
                    "blocks it."
                ),
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
            _("Slicer's Python (PythonSlicer) is not found."),
            _("Install 3D Slicer again; the module runs its networks in that program."),
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


_shared = []


def sharedWorker():
    """The one worker of this Slicer; it starts with its first job."""
    if not _shared:
        _shared.append(WorkerClient())
        atexit.register(stopSharedWorker)  # where nobody says that the application quits
    return _shared[0]


def stopSharedWorker():
    """End the worker, if there is one: Slicer is closing, or the module is."""
    while _shared:
        _shared.pop().stop()
