"""Work in several processes: how many there is room for, and one thread in each."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from functools import partial
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
    alone = processes == 1 or len(items) < 2
    if alone and ended is None:
        yield from map(function, items)
        return
    waiting = list(items)
    with nullcontext() if alone else _one_thread_each():
        while waiting:
            try:
                for result in _pooled(function, waiting[:], processes):
                    waiting.pop(0)
                    yield result
            except BrokenProcessPool as error:
                if ended is None:
                    raise DeviceMemoryError(
                        "A process ended before its work was done, perhaps for lack of memory.",
                        "Repeat the command to go on, with fewer --processes.",
                    ) from error
                # It may have been this one, or one beside it.
                first = waiting.pop(0)
                try:
                    (result,) = _pooled(function, [first], 1) if not alone else [ended(first)]
                except BrokenProcessPool:
                    result = ended(first)
                yield result


def _pooled(
    function: Callable[[_Item], _Result], items: Sequence[_Item], processes: int
) -> Iterator[_Result]:
    # Spawned, not forked: CUDA does not survive a fork.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(processes, len(items)), context, _heed_parent)
    try:
        try:
            pool.submit(int).result()
        except BrokenProcessPool as error:  # before any item
            raise SSRKDError(
                "A process ended before it began its work.",
                'In a script of your own, put the call below `if __name__ == "__main__":`. '
                "Otherwise memory may be lacking: close other programs.",
            ) from error
        yield from pool.map(partial(_result_of, function), items)
    except BrokenProcessPool:
        raise
    except BaseException:  # a signal, or who takes the results: nobody waits for what is begun
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


#: Whether this process of a pool is at an item.
_at_work = False


def _heed_parent() -> None:
    """Prepare a process of a pool: the terminal's signals are left to the parent, whose SIGTERM
    unwinds the item at work, so that working folders are removed. Windows has no such signal: the
    process ends at once, and they stay."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)

    def outlive_nobody() -> None:  # a parent that is killed tells nothing
        multiprocessing.parent_process().join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=outlive_nobody, daemon=True).start()


def _end(number: int, frame: object) -> None:
    if not _at_work:  # the pool's own code would take an exception for a result, and wait for more
        os._exit(128 + number)
    sys.exit(128 + number)


def _result_of(function: Callable[[_Item], _Result], item: _Item) -> _Result:
    global _at_work
    try:
        try:
            _at_work = True
            return function(item)
        finally:
            _at_work = False
    except SystemExit as end:  # which the pool would take for a result, and go on
        os._exit(end.code if isinstance(end.code, int) else 1)


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
