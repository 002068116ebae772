"""A prepared run, done: under the run folder's lock, finished cells kept, the others run."""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Protocol

from bench import locks, records
from bench.containers import orphans
from bench.errors import UsageError
from bench.run import cancel, index
from bench.run.executor import Watcher
from bench.run.executors import Execute
from bench.run.layout import Job, RunFolder
from bench.run.preflight import Prepared
from bench.run.reuse import take_over
from bench.run.standing import standing

_ORPHANS_DIE_IN = 5.0
"""Seconds in which the workers of a run that was just killed are gone, and with them its lock."""


class Display(Watcher, Protocol):
    """A watcher that can also say something."""

    def note(self, text: str) -> None:
        """Show one line."""


def run_cells(
    prepared: Prepared,
    execute: Execute,
    *,
    parallel: int,
    threads: int,
    limit: float | None,
    force: bool,
    reuse: bool,
    display: Display,
) -> None:
    """Bring every cell of the run to its end. What came of them is in the records and their index: nothing of it is kept here.

    :param force: begin every cell anew
    :param reuse: take over what a neighbouring run has done (:mod:`bench.run.reuse`)

    Raises:
        UsageError: another run is at work in the same folder.
    """
    with _exclusive(prepared.run) as lock:
        if force:
            for job in prepared.jobs:
                shutil.rmtree(job.folder.root, ignore_errors=True)
        elif reuse:
            for run, count in take_over(prepared.jobs, prepared.plan).items():
                display.note(
                    f"{count} cells taken over from {prepared.run.root.parent / run}, which has done them (--no-reuse: not)"
                )
        records.save(prepared.run.plan, prepared.plan)
        pending = _pending(prepared.jobs, display)
        if any(job.cell.backend != "native" for job in pending):
            orphans.clear()
        ended = execute(
            pending,
            lock=lock,
            parallel=parallel,
            threads=threads,
            limit=limit,
            offline=prepared.offline,
            watcher=display,
        )
        with closing(ended):  # an interrupt anywhere here ends the workers
            deque(ended, maxlen=0)
        index.refresh(prepared.run.root)


def _pending(jobs: Sequence[Job], display: Display) -> list[Job]:
    """The jobs that are to be done; what has to be said of the others is shown."""
    pending = []
    lacking = Counter[str]()
    for job in jobs:
        stand = standing(job)
        if stand.warning:
            display.note(stand.warning)
        if not stand.record:
            pending.append(job)
        elif stand.record.train_seconds:
            lacking["--profile"] += job.profile and not stand.record.profile
            lacking[f"--log {job.log}"] += bool(job.log) and not job.folder.tensorboard.exists()
    for option, count in lacking.items():
        if count:
            display.note(f"{option}: {count} of the finished cells were trained without it; --force trains them again")
    return pending


@contextmanager
def _exclusive(run: RunFolder) -> Iterator[int]:
    try:
        with locks.hold(run.lock, _ORPHANS_DIE_IN) as lock:
            cancel.sign(lock)
            yield lock
    except locks.Busy:
        raise UsageError(f"another `bench run` is at work in {run.root}: wait for it, or use another --out") from None
