"""A prepared run, done: under the run folder's lock, finished cells kept, the others run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from bench import locks, records
from bench.containers import orphans
from bench.errors import UsageError
from bench.records import Record
from bench.run.executor import Watcher
from bench.run.executors import Execute
from bench.run.layout import Job, RunFolder
from bench.run.preflight import Prepared
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
    display: Display,
) -> list[Record]:
    """Bring every cell of the run to its end; records in the order of the request, those from earlier sessions included.

    Raises:
        UsageError: another run is at work in the same folder.
    """
    with _exclusive(prepared.run) as lock:
        if force:
            for job in prepared.jobs:
                shutil.rmtree(job.folder.root, ignore_errors=True)
        records.save(prepared.run.plan, prepared.plan)
        stands = {job.cell: standing(job) for job in prepared.jobs}
        for stand in filter(lambda stand: stand.warning, stands.values()):
            display.note(stand.warning)
        found = {cell: stand.record for cell, stand in stands.items() if stand.record}
        if kept := [job for job in prepared.jobs if job.profile and _lacks_profile(found.get(job.cell))]:
            display.note(
                f"--profile: {len(kept)} of the finished cells were trained without it; --force trains them again"
            )
        if kept := [job for job in prepared.jobs if job.log and _lacks_log(job, found.get(job.cell))]:
            display.note(
                f"--log {kept[0].log}: {len(kept)} of the finished cells were trained without it; --force trains them again"
            )
        pending = [job for job in prepared.jobs if job.cell not in found]
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
            found |= {record.cell: record for record in ended}
    return [found[job.cell] for job in prepared.jobs]


def _lacks_profile(kept: Record | None) -> bool:
    return kept is not None and bool(kept.train_seconds) and not kept.profile


def _lacks_log(job: Job, kept: Record | None) -> bool:
    return kept is not None and bool(kept.train_seconds) and not job.folder.tensorboard.exists()


@contextmanager
def _exclusive(run: RunFolder) -> Iterator[int]:
    try:
        with locks.hold(run.lock, _ORPHANS_DIE_IN) as lock:
            yield lock
    except locks.Busy:
        raise UsageError(f"another `bench run` is at work in {run.root}: wait for it, or use another --out") from None
