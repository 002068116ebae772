"""The Slurm executor: the cells are one job array, submitted with submitit from a login node; this process waits for them.

``BENCH_SLURM`` holds further parameters of submitit's as JSON (``{"slurm_partition": "gpu", "mem_gb": 32}``).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Generator, Sequence
from typing import Any

from bench.errors import AbsentError, UsageError
from bench.records import Record
from bench.run.executor import Watcher
from bench.run.layout import Job
from bench.run.remote import order, record_of, run_here

_POLL = 1.0
_DAY = 24 * 60
"""Minutes a cell may take where no --time-limit is given: Slurm wants to know."""
_SPARE = 10
"""Minutes beyond --time-limit: the cell's own clock is to say that it ran out, not Slurm."""
CLUSTER = "BENCH_SLURM_CLUSTER"
"""Environment variable: ``local`` or ``debug`` take the place of a real cluster, for tests."""


def require() -> None:
    """Raise AbsentError unless submitit and Slurm are here, UsageError if ``BENCH_SLURM`` is no JSON object."""
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise AbsentError("--executor slurm: submitit is not installed: pip install 'talkbench[scale]'") from error
    if CLUSTER not in os.environ and shutil.which("sbatch") is None:
        raise AbsentError(
            "--executor slurm: there is no sbatch here: start it on a login node, or use --executor local"
        )
    _parameters()


def execute(
    jobs: Sequence[Job], *, lock: int, parallel: int, threads: int, limit: float | None, offline: bool, watcher: Watcher
) -> Generator[Record, None, None]:
    """See :func:`bench.run.executor.execute`; at most ``parallel`` cells of the array run at once."""
    import submitit

    del lock  # this process holds it; machines have one a cell
    if not jobs:
        return
    executor = submitit.AutoExecutor(folder=jobs[0].run / ".slurm" / "%j", cluster=os.environ.get(CLUSTER))
    minutes = _DAY if limit is None else math.ceil(limit / 60) + _SPARE
    gpus = {"gpus_per_node": 1} if jobs[0].device == "cuda" else {}
    executor.update_parameters(
        timeout_min=minutes, cpus_per_task=threads, slurm_array_parallelism=parallel, name="talkbench", **gpus, **_parameters()
    )  # fmt: skip
    orders = [order(job, threads, limit, offline) for job in jobs]
    submitted = executor.map_array(run_here, orders)
    waiting = dict(zip(submitted, jobs, strict=True))
    try:
        yield from _waited(waiting, watcher)
    finally:
        for task in waiting:
            task.cancel()


def _waited(waiting: dict[Any, Job], watcher: Watcher) -> Generator[Record, None, None]:
    """Records as the tasks end, which leave ``waiting`` then."""
    begun: set[Any] = set()
    while waiting:
        for task, job in list(waiting.items()):
            done = task.done()
            if task not in begun and (done or task.state == "RUNNING"):
                begun.add(task)
                watcher.started(job.cell)
            if done:
                del waiting[task]
                record = record_of(
                    job, f"Slurm ended job {task.job_id} ({task.state}) without a record: see {task.paths.stderr}"
                )
                watcher.ended(job.cell, record)
                yield record
        if waiting:
            time.sleep(_POLL)


def _parameters() -> dict[str, Any]:
    text = os.environ.get("BENCH_SLURM", "{}")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"BENCH_SLURM={text!r} is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise UsageError(f"BENCH_SLURM={text!r}: expected a JSON object of submitit's parameters")
    return found
