"""One cell on a machine of a cluster: what the executors for Ray and Slurm run there.

The run folder and the subjects must be at the same paths on every machine (a shared file system), talkbench installed in the same version.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from platform import node
from typing import Any

from bench import locks, records, registry
from bench.errors import RecordError
from bench.records import CellKey, Record
from bench.run.executor import execute, failed
from bench.run.layout import Job, RunFolder
from bench.run.standing import standing

Tell = Callable[[dict[str, Any]], None]
_LOST_NODES_DIE_IN = 60.0
"""Seconds to wait for whoever holds the cell's lock: a machine that was only thought lost."""
_EVERY = 0.5
"""Seconds between two steps that are told: progress is for people."""


@dataclass(frozen=True)
class Order:
    """A cell to be done elsewhere. Plain values: it travels between machines."""

    job: str
    """JSON of the :class:`bench.run.layout.Job`."""
    threads: int
    """CPU threads."""
    limit: float | None
    """Seconds it may take."""
    offline: bool


def order(job: Job, threads: int, limit: float | None, offline: bool) -> Order:
    """The order for a job."""
    return Order(job.model_dump_json(), threads, limit, offline)


def run_here(told: Order, tell: Tell = lambda event: None) -> None:
    """Bring the cell to its end on this machine, in a process of its own; its record is in the run folder then.

    Whoever had it before may have finished it, or may still be at it: the cell's lock keeps two apart.

    Raises:
        locks.Busy: another machine has been at it for a minute.
    """
    job = Job.model_validate_json(told.job)
    place = RunFolder(job.run).root / ".locks" / job.cell.name
    with locks.hold(place, _LOST_NODES_DIE_IN) as lock:
        if standing(job).record:
            return
        if (code := registry.code(job.cell.method, job.cell.backend)) != job.code:
            version = f"{code or 'none'} here, {job.code or 'none'} where the run was started"
            failed(
                job,
                f"another version of {job.cell.label} is installed on {node()} ({version}): install the same",
                datetime.now(UTC),
            )
            return
        ended = execute(
            [job], lock=lock, parallel=1, threads=told.threads, limit=told.limit, offline=told.offline, watcher=_Sender(tell)
        )  # fmt: skip
        with closing(ended):  # an interrupt ends the cell's process
            for _ in ended:
                pass


def record_of(job: Job, lost: str) -> Record:
    """The record that a cell left, or, if there is none, one that says that it was ``lost``, and why."""
    try:
        return records.load_record(job.folder.record)
    except RecordError:
        return failed(job, lost, datetime.now(UTC))


class _Sender:
    """A :class:`bench.run.executor.Watcher` that passes events on, steps not too often."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._last = tell, 0.0

    def started(self, cell: CellKey) -> None:
        self._tell({"event": "started"})

    def event(self, cell: CellKey, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["event"] != "step" or now - self._last >= _EVERY:
            self._last = now
            self._tell(event)

    def ended(self, cell: CellKey, record: Record) -> None:
        pass
