"""What the checks share: the method, the subject, and cells of it that are run when first asked for."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import locks, records, system
from bench.contract import Method
from bench.records import CellKey, Record
from bench.run.executor import execute, worker_process
from bench.run.layout import Job
from bench.run.preflight import Request, prepare
from bench.subject import Subject


class _Quiet:
    """A watcher that says nothing."""

    def started(self, cell: CellKey) -> None:
        pass

    def event(self, cell: CellKey, event: dict[str, Any]) -> None:
        pass

    def ended(self, cell: CellKey, record: Record) -> None:
        pass


class Trial:
    """A method on trial."""

    def __init__(
        self, label: str, method: Method, subject: Subject, preset: str, folder: Path, device: str = "cpu"
    ) -> None:
        """``folder``: where its runs go; ``label``: as on the command line."""
        self.label, self.method, self.subject, self.preset = label, method, subject, preset
        self.folder, self.device = folder, device

    @cached_property
    def first(self) -> Record:
        """The record of an undisturbed cell."""
        return self.finish(self.job("first"))

    def job(self, name: str) -> Job:
        """A cell in a run folder of its own."""
        request = Request(
            [self.label], [str(self.subject.root)], self.preset, metrics=("psnr",), references=False, device=self.device,
            out=self.folder / name,
        )  # fmt: skip
        prepared = prepare(request)
        records.save(prepared.run.plan, prepared.plan)
        return prepared.jobs[0]

    def finish(self, job: Job) -> Record:
        """Run the cell, or go on with it."""
        with locks.hold(job.run / ".lock", 30) as lock:
            ended = execute(
                [job], lock=lock, parallel=1, threads=system.cores(), limit=None, offline=False, watcher=_Quiet()
            )
            with closing(ended):
                return next(ended)

    def kill_in_training(self, job: Job) -> bool:
        """Start the cell and kill it with SIGKILL half way through its first stage; False: it was over before."""
        reader, writer = os.pipe()
        job.folder.root.mkdir(parents=True, exist_ok=True)
        environment = os.environ | system.worker_environment(system.cores(), 1)
        with locks.hold(job.run / ".lock", 30) as lock, job.folder.log.open("ab") as log:
            process = worker_process(job, writer, lock, log, environment)
        os.close(writer)
        half_way = threading.Event()
        with os.fdopen(reader, encoding="utf-8", errors="replace") as events:
            _watch(events, half_way)
        if half_way.is_set():
            process.send_signal(signal.SIGKILL)
        process.wait()
        return half_way.is_set()


def _watch(events: Any, half_way: threading.Event) -> None:
    """Read a worker's events until half of a stage of its training is done, or it ends."""
    total = 0
    for line in events:
        event = json.loads(line) if line.endswith("\n") else {}  # a killed worker can leave half a line
        if event.get("event") == "stage":
            if event["stage"] == "load":
                return
            total = int(event["total"])
        if event.get("event") == "step" and 2 * int(event["done"]) >= total > 1:
            half_way.set()
            return
