"""The local executor: each cell in a process of its own, so that whatever one does, the rest goes on."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any, Protocol

from bench import records, system
from bench.errors import RecordError
from bench.records import CellKey, Record
from bench.run.layout import Job

_POLL = 0.25
_GRACE = 5.0
"""Seconds a worker has to end after SIGTERM before it is killed."""


class Watcher(Protocol):
    """Shows what happens."""

    def started(self, cell: CellKey) -> None:
        """A cell's worker was started."""

    def event(self, cell: CellKey, event: dict[str, Any]) -> None:
        """A worker said how far it is (``stage`` or ``step``)."""

    def ended(self, cell: CellKey, record: Record) -> None:
        """A cell is over, well or not."""


def failed(job: Job, error: str, started: datetime, seconds: float = 0.0) -> Record:
    """Write and return the record of a cell that left none of its own."""
    record = Record(
        cell=job.cell, status="failed", error=error, hardware=system.hardware(), versions=system.versions(),
        provenance={"subject": job.subject_hash}, seconds=seconds, started=started.isoformat(timespec="seconds"),
    )  # fmt: skip
    records.save(job.folder.record, record)
    return record


def worker_process(
    job: Job, events: int, lock: int, log: IO[bytes], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start the process of a cell, at the head of a session of its own.

    :param events: descriptor of the pipe that it tells events to
    :param lock: descriptor of the run folder's lock, which goes along: while an orphan is dying, nobody else may work there
    """
    # -P: in a source checkout the current folder's packages, not compiled, would hide the installed ones.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.run.worker", job.model_dump_json(), str(events), str(lock)],
        stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=(events, lock), env=environment, start_new_session=True,
    )  # fmt: skip


class _Worker:
    """A running cell."""

    def __init__(self, job: Job, lock: int, environment: dict[str, str], inbox: queue.Queue[_Message]) -> None:
        self.job, self.error, self.began = job, "", time.monotonic()
        self.started = datetime.now(UTC)
        folder = job.folder
        folder.root.mkdir(parents=True, exist_ok=True)
        folder.record.unlink(missing_ok=True)
        reader, writer = os.pipe()
        with folder.log.open("ab") as log:
            log.write(f"--- {self.started.isoformat(timespec='seconds')} {job.cell.name}\n".encode())
            log.flush()
            self.process = worker_process(job, writer, lock, log, environment)
        os.close(writer)
        threading.Thread(target=self._listen, args=(reader, inbox), daemon=True).start()

    def _listen(self, reader: int, inbox: queue.Queue[_Message]) -> None:
        with os.fdopen(reader, encoding="utf-8", errors="replace") as events:
            for line in events:
                if line.endswith("\n"):  # a killed worker can leave half a line
                    inbox.put((self, json.loads(line)))
        self.process.wait()
        with suppress(ProcessLookupError, PermissionError):  # what a method started and left
            os.killpg(self.process.pid, signal.SIGKILL)
        inbox.put((self, None))

    def stop(self, error: str, number: int = signal.SIGTERM) -> None:
        """Make it end, for this reason."""
        self.error = self.error or error
        self.process.send_signal(number)

    def clear(self) -> None:
        """What a dead worker left running ends, too: a container outlives whoever started it."""
        if self.process.returncode and self.job.cell.backend != "native":
            from bench.containers import orphans

            orphans.clear()

    def outcome(self) -> Record:
        """The record it wrote, or one that says why there is none."""
        if not self.error and self.process.returncode == 0:
            try:
                return records.load_record(self.job.folder.record)
            except RecordError:
                self.error = "the worker ended without a record: a method must not end the process"
        error = self.error or _cause_of_death(self.process.returncode)
        return failed(self.job, error, self.started, time.monotonic() - self.began)


_Message = tuple[_Worker, dict[str, Any] | None]


def execute(
    jobs: Sequence[Job], *, lock: int, parallel: int, threads: int, limit: float | None, offline: bool, watcher: Watcher
) -> Generator[Record, None, None]:
    """Run the jobs, up to ``parallel`` at once with ``threads`` CPU threads each; yield records as cells end.

    :param lock: descriptor of the run folder's lock, which the workers inherit
    :param limit: seconds a cell may take, or None
    :param offline: workers may not fetch anything

    Closing the iterator (Ctrl-C does) ends the workers; what they had finished stays on disk.
    """
    environment = (
        os.environ | system.worker_environment(threads, parallel) | ({"BENCH_OFFLINE": "1"} if offline else {})
    )
    inbox: queue.Queue[_Message] = queue.Queue()
    waiting, running = iter(jobs), set[_Worker]()
    try:
        while True:
            for job in islice(waiting, parallel - len(running)):
                worker = _Worker(job, lock, environment, inbox)
                running.add(worker)
                watcher.started(worker.job.cell)
            if not running:
                return
            _enforce(limit, running)
            try:
                worker, event = inbox.get(timeout=_POLL)
            except queue.Empty:
                continue
            if event is None:
                running.discard(worker)
                worker.clear()
                record = worker.outcome()
                watcher.ended(worker.job.cell, record)
                yield record
            elif event["event"] == "failed":
                worker.error = worker.error or event["error"]
            else:
                watcher.event(worker.job.cell, event)
    finally:
        _end(running)


def _enforce(limit: float | None, running: set[_Worker]) -> None:
    for worker in running:
        if limit is not None and not worker.error and time.monotonic() - worker.began > limit:
            worker.stop(f"took longer than --time-limit ({limit / 60:g} min)", signal.SIGKILL)


def _end(running: set[_Worker]) -> None:
    for worker in running:
        worker.stop("interrupted")
    deadline = time.monotonic() + _GRACE
    for worker in running:
        try:
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        worker.clear()


def _cause_of_death(code: int) -> str:
    if code >= 0:
        return f"the worker ended with exit code {code} without saying why; its log may"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    hint = "; out of memory?" if -code == signal.SIGKILL else ""
    return f"the worker was killed by signal {-code} ({name}{hint})"
