"""Files are read in a process of their own, which they can neither outlive nor outgrow.

Libraries of image and mesh formats end the process on some damaged files, never come back from
others, and take any amount of memory that a header of 200 bytes asks for. Functions marked with
:func:`apart` run in a child process, started at the first use and kept; a file that ends it, or
takes more than a file of its size may, is one typed error here, and the next file gets a new child.
"""

from __future__ import annotations

import atexit
import errno
import faulthandler
import functools
import importlib
import math
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np

from SSRKDLib.core import errors
from SSRKDLib.core.errors import InputError, SSRKDError
from SSRKDLib.core.input_files import LARGEST_FILE, MOST_FILES
from SSRKDLib.core.messages import Message
from SSRKDLib.core.output_file import remove_scratch
from SSRKDLib.core.system_errors import failed_call, missing_package

try:
    import resource
except ImportError:  # Windows
    resource = None

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: What a file may expand to: deflate packs at most 1032 to 1, and no volume is larger, bytes.
_RATIO, LARGEST_VOLUME = 1032, 1 << 31

#: Memory of the child beyond its own: always, and per byte that the file may expand to.
_MEMORY, _MEMORY_PER_BYTE = 700 << 20, 3

#: Processor time, s: always; and bytes of the file, and of what it may expand to, per second.
_SECONDS, _BYTES_PER_SECOND, _EXPANDED_PER_SECOND = 3, 5e6, 1e8

#: Waiting costs no processor time: so many times longer may it take by the clock.
_CLOCK = 10

#: The child's exit code where the clock ran out: :mod:`faulthandler` knows no other.
_TIME_OUT = 1

#: What writing a temporary file fails with where there is no space for it.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: Endings of headers whose pixels lie in another file.
_HEADERS = (".mhd", ".nhdr", ".hdr", ".img")

_REMEDY = "It is damaged, or no file of this kind: copy or export it again."

_SERVE = (
    "import sys; sys.path[:1] = []; sys.path.append({root!r}); "
    "from SSRKDLib.core.reading_child import serve; serve()"
)

_lock = threading.Lock()
_child: _Child | None = None
_is_child = False


def apart(kind: type[InputError]) -> Callable[[_Function], _Function]:
    """Decorator: a function of a module's top, whose first argument is a path, runs in the child.

    Arguments and result are pickled. What the function raises comes back as it was where it is an
    :class:`~SSRKDLib.core.errors.SSRKDError`; anything else, an end of the child or a limit becomes
    an error of this kind.
    """

    def decorated(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(path: str | os.PathLike, *arguments: Any, **named: Any) -> Any:
            if _is_child:
                return function(path, *arguments, **named)
            task = _Task(
                function.__module__, function.__qualname__, (path, *arguments), named, _folder()
            )
            with _lock:
                return _ready_child().run(task, path, kind)

        return call

    return decorated


class _Task(NamedTuple):
    """What the child is to call, and the folder that relative paths start from."""

    module: str
    function: str
    arguments: tuple
    named: dict[str, Any]
    folder: str | None


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _ready_child() -> _Child:
    """The child of this process; one that a fork inherited is its parent's."""
    global _child
    if _child is None or _child.owner != os.getpid() or _child.process.poll() is not None:
        _child = _Child()
    return _child


class _Child:
    """The process, seen from outside."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            [_python(), "-c", _SERVE.format(root=root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        try:
            # For temporary files, which go however the child ends.
            self.scratch = tempfile.mkdtemp(prefix="ssrkd-")
        except OSError:  # a file that needs one will say so
            self.scratch = None
        atexit.register(self.end)

    def run(self, task: _Task, path: str | os.PathLike, kind: type[InputError]) -> Any:
        """The function's result.

        Raises:
            SSRKDError: see :func:`apart`.
        """
        size = min(_bytes_of(Path(path)), LARGEST_FILE)
        expanded = min(_RATIO * size, LARGEST_VOLUME)
        memory = _MEMORY + _MEMORY_PER_BYTE * expanded
        seconds = math.ceil(_SECONDS + size / _BYTES_PER_SECOND + expanded / _EXPANDED_PER_SECOND)
        try:
            with _memory_watched(self.process.pid, memory):
                _send(self.process.stdin, (task, self.scratch, memory, seconds))
                answer = _receive(self.process.stdout)
        except (EOFError, OSError):
            raise kind(
                Message("'{path}' {ending}.", path=path, ending=self._ending(seconds)), _REMEDY
            ) from None
        except BaseException:  # an answer that nobody waits for any more
            self.end()
            raise
        what, *details = answer
        if what == "result":
            return details[0]
        if what == "error":
            name, cause, remedy = details
            raise getattr(errors, name, kind)(cause, remedy)
        if what == "missing":
            package, error = details
            raise missing_package(package, error)
        if what == "system":
            raise kind(
                Message("'{path}' cannot be read ({reason}).", path=path, reason=details[0]),
                "Check that the file is there and may be read.",
            )
        if what == "full":
            raise kind(
                Message(
                    "'{path}' cannot be read: a temporary file cannot be written ({reason}).",
                    path=path,
                    reason=details[0],
                ),
                Message(
                    "Make space in {folder}, or name another folder for temporary files (TMPDIR).",
                    folder=tempfile.gettempdir(),
                ),
            )
        if what == "memory":
            raise kind(
                Message(
                    "'{path}' needs more memory, or space for a temporary file, than a file of its "
                    "size may.",
                    path=path,
                ),
                _REMEDY,
            )
        raise kind(
            Message("'{path}' cannot be read ({reason}).", path=path, reason=details[0]), _REMEDY
        )

    def _ending(self, seconds: int) -> str:
        """Why the child is gone."""
        code = self.process.wait()
        self.end()
        if code == _TIME_OUT or code == -getattr(signal, "SIGXCPU", 0):
            return f"takes longer to read than a file of its size may ({seconds} s)"
        if code < 0:
            return f"ended the process that reads it ({signal.Signals(-code).name})"
        return f"ended the process that reads it (exit code {code})"

    def end(self) -> None:
        """End the process, whatever it does."""
        atexit.unregister(self.end)
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            if self.scratch is not None:
                remove_scratch(Path(self.scratch))


def _python() -> str:
    """The interpreter; in 3D Slicer the application itself may stand in its place."""
    if "python" in Path(sys.executable).stem.lower():
        return sys.executable
    found = shutil.which("PythonSlicer")
    if found is None:
        raise SSRKDError("Slicer's Python (PythonSlicer) is not found.", "Install 3D Slicer again.")
    return found


def _bytes_of(path: Path) -> int:
    """Of a file, with those beside it where these hold its pixels, or of those in a folder; 0 where
    there is none, which the reader will say."""
    try:
        items = [path]
        if path.is_dir():
            items = islice(path.rglob("*"), MOST_FILES)
        elif path.suffix.lower() in _HEADERS:
            items = islice(path.parent.iterdir(), MOST_FILES)
        return sum(item.stat().st_size for item in items if item.is_file())
    except (OSError, ValueError):
        return 0


@contextmanager
def _memory_watched(pid: int, limit: int) -> Iterator[None]:
    """Elsewhere than on Linux, which limits it itself, and with psutil only: the process is ended
    where it grows by more, bytes."""
    if sys.platform.startswith("linux") or find_spec("psutil") is None:
        yield
        return
    import psutil

    done = threading.Event()

    def watch() -> None:
        try:
            process = psutil.Process(pid)
            most = process.memory_info().rss + limit
            while not done.wait(0.05):
                if process.memory_info().rss > most:
                    process.kill()
        except psutil.Error:  # it is gone already
            pass

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()


def _send(stream: BinaryIO, value: object) -> None:
    """Pickled, arrays as they lie in memory behind it."""
    buffers: list[pickle.PickleBuffer] = []
    parts = [pickle.dumps(value, protocol=5, buffer_callback=buffers.append)]
    parts += [buffer.raw() for buffer in buffers]
    stream.write(struct.pack("<Q", len(parts)))
    stream.write(struct.pack(f"<{len(parts)}Q", *(len(part) for part in parts)))
    for part in parts:
        stream.write(part)
    stream.flush()


def _receive(stream: BinaryIO) -> Any:
    """What :func:`_send` sent; arrays can be written to.

    Raises:
        EOFError: the other side is gone.
    """
    (count,) = struct.unpack("<Q", _exactly(stream, 8))
    lengths = struct.unpack(f"<{count}Q", _exactly(stream, 8 * count))
    first, *buffers = [_exactly(stream, length) for length in lengths]
    return pickle.loads(first, buffers=buffers)


def _exactly(stream: BinaryIO, length: int) -> np.ndarray:
    data = np.empty(length, np.uint8)  # a bytearray would be filled with zeros first
    view, done = memoryview(data), 0
    while done < length:
        got = stream.readinto(view[done:])
        if not got:
            raise EOFError
        done += got
    return data


def serve() -> None:
    """What the child does, until its parent is gone."""
    global _is_child
    _is_child = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is for the parent
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print
    scratch = None
    with suppress(EOFError, BrokenPipeError):  # the parent is gone
        while True:
            task, scratch, memory, seconds = _receive(source)
            with open(os.devnull, "w") as nowhere:
                # By a thread of its own, whatever native code holds Python back.
                faulthandler.dump_traceback_later(_CLOCK * seconds, exit=True, file=nowhere)
                try:
                    function = getattr(importlib.import_module(task.module), task.function)
                    if task.folder is not None:
                        os.chdir(task.folder)
                    # Where the system has cleared the folder away: its own place for such files.
                    tempfile.tempdir = scratch if scratch and os.path.isdir(scratch) else None
                    _limit(memory, seconds)
                    answer = ("result", function(*task.arguments, **task.named))
                except SSRKDError as error:
                    answer = ("error", type(error).__name__, error.cause, error.remedy)
                except ImportError as error:
                    plain = type(error) in (ImportError, ModuleNotFoundError)
                    package = (error.name or "A package").partition(".")[0]
                    answer = ("missing", package, error if plain else ImportError(str(error)))
                except MemoryError:
                    answer = ("memory",)
                except Exception as error:  # libraries raise many kinds on damaged files
                    failed = failed_call(error)
                    if failed is None:
                        answer = ("failed", type(error).__name__)
                    elif failed.errno == errno.EFBIG and not _size_was_limited(memory):
                        answer = ("memory",)
                    else:
                        what = "full" if failed.errno in _FULL else "system"
                        answer = (what, os.strerror(failed.errno))
                _limit(None, None)
                faulthandler.cancel_dump_traceback_later()
            _send(sink, answer)
    if scratch is not None:
        with suppress(OSError):
            os.rmdir(scratch)


def _limit(memory: int | None, seconds: int | None) -> None:
    """Limit what this process may take from here on, bytes and seconds of processor time."""
    if resource is None:
        return
    used = math.ceil(time.process_time())
    _set_limit(resource.RLIMIT_CPU, None if seconds is None else used + seconds)
    if sys.platform.startswith("linux"):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        in_use = pages * os.sysconf("SC_PAGE_SIZE")
        _set_limit(resource.RLIMIT_AS, None if memory is None else in_use + memory)
    # Of temporary files; writing beyond it raises EFBIG.
    _set_limit(resource.RLIMIT_FSIZE, None if memory is None else memory)


def _size_was_limited(limit: int) -> bool:
    """Whether it is not this limit, bytes, that files of this process meet, but another's."""
    if resource is None:  # none was set
        return True
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    return hard != resource.RLIM_INFINITY and hard < limit


def _set_limit(which: int, wanted: int | None) -> None:
    """The soft limit; the hard one, which another may have set, stands above it."""
    _, hard = resource.getrlimit(which)
    soft = resource.RLIM_INFINITY if wanted is None else wanted
    if hard != resource.RLIM_INFINITY:
        soft = hard if wanted is None else min(wanted, hard)
    resource.setrlimit(which, (soft, hard))
