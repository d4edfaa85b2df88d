"""Work in several processes: how many there is room for, and one thread in each."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from traceback import format_exc
from typing import TypeVar

from SSRKDLib.core.errors import DeviceMemoryError, SSRKDError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

#: Read by NumPy, PyTorch, ITK and VTK when they are imported, and never again.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "VTK_SMP_MAX_THREADS",
)


def process_count(bytes_each: float) -> int:
    """As many processes as this one has cores for, and the computer has free memory for.

    Args:
        bytes_each: what a process takes at its peak.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min(cores or 1, _free_memory() // bytes_each)))


def _free_memory() -> float:
    """Bytes; without psutil what the system calls free, and infinity where it does not tell."""
    try:
        import psutil

        return float(psutil.virtual_memory().available)
    except ImportError:
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return math.inf


def run_in_processes(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    processes: int,
    ended: Callable[[_Item], _Result] | None = None,
) -> Iterator[_Result]:
    """The function's results of all items, in their order.

    Args:
        function: defined at the top of a module.
        items: its arguments.
        processes: how many at a time, each with one thread; with 1, in this process, where there
            is no ``ended``.
        ended: gives the result of an item that ends its process, a process of its own too; the
            others are not lost then.

    Raises:
        DeviceMemoryError: a process was ended from outside, and there is no ``ended``.
        SSRKDError: no process starts, as in a script without ``if __name__ == "__main__":``.
    """
    if ended is None and (processes == 1 or len(items) < 2):
        yield from map(function, items)
        return
    results: dict[int, _Result] = {}
    waiting = deque(range(len(items)))
    again: set[int] = set()  # begun once more, with no other beside it
    with _one_thread_each(), _Crew(function) as crew:
        for number in range(len(items)):
            while number not in results:
                while waiting:
                    alone = not again.isdisjoint([waiting[0], *crew.at_work])
                    if len(crew.at_work) >= (1 if alone else processes):
                        break
                    crew.begin(waiting[0], items[waiting.popleft()])
                for done, result in crew.finished():
                    if not isinstance(result, _Ended):
                        results[done] = result
                    elif ended is None:
                        raise DeviceMemoryError(
                            "A process ended before its work was done, perhaps for lack of memory.",
                            "Repeat the command to go on, with fewer --processes.",
                        )
                    elif processes == 1 or done in again:
                        results[done] = ended(items[done])
                    else:  # those beside it may have left it no memory
                        again.add(done)
                        waiting.appendleft(done)
            yield results.pop(number)


class _Ended:
    """What an item whose process ended gives."""


class _Traceback(Exception):
    """Where in another process an exception was raised, as text."""


class _Crew:
    """Processes that take one item after the other.

    Each has a pipe of its own and shares nothing: whichever ends, and whenever, its pipe tells, and
    which item it had is known. (``ProcessPoolExecutor`` waits for ever where one process ends while
    the next is being started, and blames all of them.)
    """

    def __init__(self, function: Callable) -> None:
        self.at_work: list[int] = []
        self._function = function
        self._members: dict[Connection, _Member] = {}

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait until they have ended; after an exception nobody waits for what is begun."""
        for pipe, member in self._members.items():
            if kind is not None:
                member.process.terminate()
            pipe.close()
        for member in self._members.values():
            member.process.join()

    def begin(self, number: int, item: object) -> None:
        """Give an item to a process that has none, or to a new one."""
        idle = (pipe for pipe, member in self._members.items() if member.number is None)
        pipe = next(idle, None) or self._started()
        self._members[pipe].number = number
        with suppress(BrokenPipeError):  # it has ended, as finished() will say
            pipe.send(item)
        self.at_work.append(number)

    def _started(self) -> Connection:
        # Spawned, not forked: CUDA does not survive a fork.
        context = multiprocessing.get_context("spawn")
        pipe, its_end = context.Pipe()
        process = context.Process(target=_work, args=(self._function, its_end), daemon=True)
        with _interrupt_ignored():  # from its first line on, and not from _heed_parent() on
            process.start()
        its_end.close()
        self._members[pipe] = _Member(process)
        return pipe

    def finished(self) -> Iterator[tuple[int, object]]:
        """The next items that are done, and their results.

        Raises:
            SSRKDError: a process ended before its first item.
        """
        for pipe in wait(list(self._members)):
            member = self._members[pipe]
            try:
                result, traceback = pipe.recv()
            except (EOFError, ConnectionError):
                member.process.join()
                pipe.close()
                del self._members[pipe]
                if not member.ready:
                    raise SSRKDError(
                        "A process ended before it began its work.",
                        'In a script of your own, put the call below `if __name__ == "__main__":`. '
                        "Otherwise memory may be lacking: close other programs.",
                    ) from None
                result, traceback = _Ended(), ""
            if traceback:
                raise result from _Traceback(traceback)
            if not member.ready:
                member.ready = True
            elif member.number is not None:
                done, member.number = member.number, None
                self.at_work.remove(done)
                yield done, result


@dataclass
class _Member:
    """One of a crew: the item it has, and whether it has ever answered."""

    process: BaseProcess
    number: int | None = None
    ready: bool = False


def _work(function: Callable[[_Item], _Result], pipe: Connection) -> None:
    """What a process does: say that it has started, then an answer for every item."""
    _heed_parent()
    pipe.send((None, ""))
    while True:
        try:
            item = pipe.recv()
        except EOFError:  # there is no other
            return
        try:
            pipe.send((function(item), ""))
        except Exception as error:
            pipe.send((error, format_exc()))


def _heed_parent() -> None:
    """Prepare a process: the terminal's signals are left to the parent, whose SIGTERM unwinds the
    item at work, so that working folders are removed. Windows has no such signal: the process ends
    at once, and they stay."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)

    def outlive_nobody() -> None:  # a parent that is killed tells nothing
        multiprocessing.parent_process().join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=outlive_nobody, daemon=True).start()


@contextmanager
def _interrupt_ignored() -> Iterator[None]:
    """For processes that are started meanwhile: a terminal sends Ctrl-C to all of them."""
    if threading.current_thread() is not threading.main_thread():  # which alone may say so
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start meanwhile have one thread: their environment says so before anything
    is imported."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
