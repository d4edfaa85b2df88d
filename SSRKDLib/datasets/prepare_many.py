"""Preparing many cases: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from SSRKDLib.core.errors import InputError, MissingDependencyError, SSRKDError, describe_unexpected
from SSRKDLib.core.processes import process_count, run_in_processes
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.core.system_errors import of_the_system
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.datasets.prepare import Settings, prepare_case
from SSRKDLib.datasets.sources import VIRTUAL_EXTENT, Job, VirtualSource

#: Bytes of memory a case takes at its peak, per voxel of the finer CT: measured 22 at 512^3.
_BYTES_PER_VOXEL = 24


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case_id: its name.
        reason: why it failed, None where it did not.
        notes: sentences about how its CT was read.
    """

    case_id: str
    reason: str | None = None
    notes: tuple[str, ...] = ()


def is_finished(job: Job, processed: Path, settings: Settings) -> bool:
    """Whether a case was prepared before, with or without labels as now.

    Raises:
        InputError: it was, with other settings; or its folder contains something else, which would
            be deleted.
    """
    path = processed / job.case_id
    if not path.exists():
        return False
    inside = any(path.resolve() in place.resolve().parents for place in job.source.places())
    if inside or not path.is_dir() or not CaseFolder(path).finished:
        raise InputError(
            f"'{path}' exists already and is not a case prepared by this program.",
            "Choose another output folder.",
        )
    record = CaseFolder(path).record()
    # Cases prepared before there was a choice name no projector.
    then = {"projector": Settings.projector, **(record.get("settings") or {})}
    now = asdict(_settings_of(job, settings))
    if then != now:
        other = next((key for key in now if then.get(key) != now[key]), "settings")
        raise InputError(
            f"'{path}' was prepared with another {other.replace('_', ' ')} "
            f"({then.get(other)}, now {now.get(other)}).",
            "Use the same settings, or another output folder.",
        )
    return record.get("labelled") == job.source.labelled


def run_jobs(
    jobs: Sequence[Job],
    processed: Path,
    settings: Settings,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = no_progress,
) -> list[Outcome]:
    """Prepare cases; a broken one does not end the run.

    Args:
        jobs: what to prepare, finished cases left out.
        processed: where; with ``scheduler`` a place that all workers share.
        settings: how.
        workers: processes on this machine; 0: this one alone; None: as many as there are cores and
            memory for.
        scheduler: address of a Dask cluster, whose workers have this package installed.
        progress: called with stage, fraction done and message; what it raises ends the run.

    Returns:
        One outcome per job, in their order.

    Raises:
        MissingDependencyError: there is a scheduler, and Dask is not installed.
        InputError: no scheduler at that address.
    """
    progress("prepare", 0.0, f"Preparing {len(jobs)} cases")
    prepare = partial(run_job, processed=processed.absolute(), settings=settings)
    if scheduler is not None:
        outcomes = _with_dask(prepare, jobs, scheduler)
    elif workers == 0:
        outcomes = map(prepare, jobs)
    else:
        count = workers or process_count(_BYTES_PER_VOXEL * (2 * settings.size) ** 3)
        outcomes = run_in_processes(prepare, jobs, count, _ended)
    done = {}
    for outcome in outcomes:
        done[outcome.case_id] = outcome
        word = "failed" if outcome.reason else "done"
        progress(
            "prepare", len(done) / len(jobs), f"{outcome.case_id} {word} ({len(done)}/{len(jobs)})"
        )
    return [done[job.case_id] for job in jobs]


def run_job(job: Job, processed: Path, settings: Settings) -> Outcome:
    """Prepare one case; whatever goes wrong is the outcome."""
    try:
        # The results of a worker that ended are lost, and Dask submits its cases again.
        if is_finished(job, processed, settings):
            return Outcome(job.case_id)
        settings = _settings_of(job, settings)
        scan = job.source.load(settings)
        prepare_case(scan, processed / job.case_id, settings, job.person, job.sex)
    except SSRKDError as error:
        return Outcome(job.case_id, str(error))
    except MemoryError:
        return Outcome(job.case_id, "The memory does not suffice. Use fewer --workers.")
    except Exception as error:
        told = of_the_system(error)
        if told is not None:
            return Outcome(job.case_id, str(told))
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return Outcome(job.case_id, f"{describe_unexpected(error)} It came from {where}.")
    return Outcome(job.case_id, notes=scan.ct.notes)


def _settings_of(job: Job, settings: Settings) -> Settings:
    """The settings with what a virtual person needs filled in."""
    if settings.extent is None and isinstance(job.source, VirtualSource):
        return Settings(**{**asdict(settings), "extent": VIRTUAL_EXTENT})
    return settings


def _ended(job: Job) -> Outcome:
    return Outcome(
        job.case_id,
        "Its process ended every time it was tried; the memory may not suffice. Use fewer "
        "--workers.",
    )


def _with_dask(
    prepare: Callable[[Job], Outcome], jobs: Sequence[Job], scheduler: str
) -> Iterator[Outcome]:
    try:
        from dask.distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise MissingDependencyError(
            "A Dask cluster needs dask.distributed, which is not installed.",
            "Install it (pip install 'dask[distributed]'), or leave --scheduler out.",
        ) from error
    try:
        client = Client(scheduler, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at '{scheduler}'.", "Check the address and its port."
        ) from error
    try:
        futures = {client.submit(prepare, job, pure=False): job for job in jobs}
        for future in as_completed(futures, loop=client.loop):
            error = future.exception()
            if error is None:
                yield future.result()
            elif isinstance(error, KilledWorker):
                yield _ended(futures[future])
            else:
                what = " ".join(f"{type(error).__name__}: {error}".split())
                yield Outcome(futures[future].case_id, f"Its worker failed ({what}).")
            future.release()
    finally:
        client.close()
