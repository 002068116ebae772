"""Steps side by side: each begins as soon as what it reads is there, two at a time.

Some steps leave cores idle (one face after the other is tracked through the film), others would use any number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import cv2
from threadpoolctl import threadpool_limits

from bench.prepare.steps import Done, Job, Step, Track, fingerprint, run_step

LANES = 2


class _Stopped(Exception):
    """Another step has failed."""


def run_steps(
    steps: Sequence[Step], job: Job, tell: Callable[[Done], None], before: Callable[[Step, dict[str, Done]], None]
) -> list[Done]:
    """Run the steps, none before those it needs; their outcomes, in the order given.

    :param tell: hears of each step as it ends
    :param before: called with a step that is about to start and what is done so far

    Raises:
        DataError: a step's own. Steps beside it stop at their next item, and go on from there next time.
    """
    marks: dict[str, str] = {}
    for step in steps:
        marks[step.name] = fingerprint(step, job.options, marks)
    stop, done, waiting = threading.Event(), dict[str, Done](), list(steps)
    job = replace(job, track=_until(stop, job.track))
    running: dict[Future[Done], Step] = {}
    with _one_thread_each(), ThreadPoolExecutor(LANES) as pool:
        try:
            while waiting or running:
                for step in [one for one in waiting if done.keys() >= set(one.needed(job.options))][
                    : LANES - len(running)
                ]:
                    before(step, done)
                    waiting.remove(step)
                    running[pool.submit(run_step, step, job, marks[step.name])] = step
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    step = running.pop(future)
                    done[step.name] = future.result()
                    tell(done[step.name])
        finally:
            stop.set()
    return [done[step.name] for step in steps]


def _until(stop: threading.Event, track: Track[Any]) -> Track[Any]:
    """The same bar, which ends the step that draws it once ``stop`` is set."""

    def tracked(items: Iterable[Any], what: str, total: int | None) -> Iterator[Any]:
        for item in track(items, what, total):
            if stop.is_set():
                raise _Stopped
            yield item

    return tracked


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Every thread of ours has a whole frame; OpenCV's own would only wait for each other, and OpenBLAS's spin while they wait."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        cv2.setNumThreads(before)
