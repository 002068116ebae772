"""The Ray executor: each cell is a task, on whichever machine of the cluster has the threads, and the GPU, to spare.

``RAY_ADDRESS`` names the cluster; without it one is started on this machine and stopped with the run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from queue import Empty
from typing import Any

from bench.errors import AbsentError, UsageError
from bench.records import Record
from bench.run.cancel import handler_kept
from bench.run.executor import Watcher
from bench.run.layout import Job
from bench.run.remote import Order, order, record_of, run_here

RETRIES = 3
"""How often a cell whose machine was lost goes on elsewhere, from its last checkpoint."""
_AHEAD = 1000
"""Cells that are with Ray at the same time: enough for it to know what a cluster lacks, few enough to ask after at each poll."""
_POLL = 0.25
_UNLOGGED: dict[str, Any] = {"enable_task_events": False}
"""Ray's head would keep what happened to each task and message: 26 kB a cell."""


def require() -> None:
    """Raise AbsentError unless Ray is installed."""
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise AbsentError("--executor ray: Ray is not installed: pip install 'talkbench[scale]'") from error


def execute(
    jobs: Sequence[Job], *, lock: int, parallel: int, threads: int, limit: float | None, offline: bool, watcher: Watcher
) -> Generator[Record, None, None]:
    """See :func:`bench.run.executor.execute`; ``parallel`` bounds a cluster that is started here, not one that is there already."""
    import ray
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    del lock  # this process holds it; machines have one a cell
    if not jobs:
        return
    with _cluster(parallel * threads):
        gpus = 1 if jobs[0].device == "cuda" else 0
        _check_room(ray.nodes(), threads, gpus)  # type: ignore[no-untyped-call]
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        own = {"num_cpus": 0, "scheduling_strategy": here, **_UNLOGGED}  # it isn't lost with another machine
        events = Queue(actor_options=own)
        task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=RETRIES, **_UNLOGGED)(_cell)
        left, waiting = iter(enumerate(jobs)), dict[Any, int]()
        begun: dict[int, bool] = {}
        try:
            while True:
                for place, job in islice(left, _AHEAD - len(waiting)):
                    waiting[task.remote(order(job, threads, limit, offline), events, place)] = place
                    begun[place] = False
                if not waiting:
                    return
                ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=_POLL)
                _pass_on(events, jobs, begun, watcher)
                for ref in ready:
                    place = waiting.pop(ref)
                    job = jobs[place]
                    record = record_of(job, _fate(ref))
                    if not begun.pop(place):
                        watcher.started(job.cell)
                    watcher.ended(job.cell, record)
                    yield record
        finally:
            for ref in waiting:
                ray.cancel(ref)


def _check_room(nodes: Sequence[dict[str, Any]], threads: int, gpus: int) -> None:
    """Raise UsageError if no machine of the cluster could ever take a cell: Ray would wait for one without a word."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(one.get("CPU", 0) >= threads and one.get("GPU", 0) >= gpus for one in alive):
        most = max((one.get("CPU", 0) for one in alive), default=0)
        needed = f"{threads} CPUs" + (" and a GPU" if gpus else "")
        raise UsageError(
            f"no machine of the Ray cluster has the {needed} that a cell needs (the largest has {most:g} CPUs): use fewer --threads"
            + (", or --device cpu" if gpus else "")
        )


def _cell(told: Order, events: Any, place: int) -> None:
    """The task. Progress that can't be told, because the head is gone, is no reason to stop, and none to wait: the queue's own
    ``put`` would, each time for a way to the head and back.
    """

    def tell(event: dict[str, Any]) -> None:
        with suppress(Exception):
            events.actor.put_nowait.remote((place, event))

    run_here(told, tell)


def _pass_on(events: Any, jobs: Sequence[Job], begun: dict[int, bool], watcher: Watcher) -> None:
    """Tell the watcher what has happened.

    :param begun: whether each of the cells that are with Ray now has begun; what comes late of others is dropped
    """
    with suppress(Empty):
        for place, event in events.get_nowait_batch(min(events.qsize(), 1000)):
            if event["event"] == "started":
                if begun.get(place) is False:  # a cell that goes on elsewhere starts again
                    begun[place] = True
                    watcher.started(jobs[place].cell)
            elif event["event"] != "failed" and begun.get(place):
                watcher.event(jobs[place].cell, event)


def _fate(ref: Any) -> str:
    """Why a task ended without a record."""
    import ray

    try:
        ray.get(ref)
    except ray.exceptions.RayError as error:
        first = str(error).strip().splitlines()
        return (
            f"its machine was lost {RETRIES + 1} times, or Ray failed ({first[0] if first else type(error).__name__})"
        )
    return "the task ended without a record"


@contextmanager
def _cluster(cpus: int) -> Iterator[None]:
    """Connected to the cluster; one that was started here is stopped at the end."""
    import ray

    mine = not ray.is_initialized()
    if mine:
        address = os.environ.get("RAY_ADDRESS") or "local"  # without one, Ray would take any cluster of this machine
        size: dict[str, Any] = {} if address != "local" else {"num_cpus": cpus, "include_dashboard": False}
        with handler_kept():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **size)
    try:
        yield
    finally:
        if mine:
            ray.shutdown()
