"""Steps run as soon as what they need is there, two at a time; the first fault ends them all."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bench.errors import DataError
from bench.prepare.schedule import run_steps
from bench.prepare.steps import Job, Made, Options, Step


@pytest.fixture
def job(tmp_path: Path) -> Job:
    options = Options(tmp_path / "v.mp4", "n", tmp_path / "out")
    (tmp_path / "out/.prepare").mkdir(parents=True)
    return Job(options, lambda items, what, total: items)


def test_what_is_independent_runs_side_by_side_and_nothing_before_its_needs(job):
    meet, begun, ended = threading.Barrier(2), [], []

    def step(name: str, *needs: str, meets: bool = False) -> Step:
        def run(job: Job) -> Made:
            begun.append((name, list(ended)))
            if meets:
                meet.wait(timeout=30)
            ended.append(name)
            return Made(name)

        return Step(name, run, (), needs=needs)

    late = Step(
        "late", step("late").run, (), needs=("a",), sometimes=lambda options: ("b",) if options.name == "n" else ()
    )
    steps = [step("first"), step("a", "first", meets=True), step("b", "first", meets=True), late, step("last", "late")]
    told, before = [], []
    done = run_steps(
        steps, job, lambda one: told.append(one.name), lambda one, so_far: before.append((one.name, set(so_far)))
    )
    assert [one.name for one in done] == ["first", "a", "b", "late", "last"]
    assert sorted(told) == sorted(one.name for one in done)
    needs = {one.name: set(one.needed(job.options)) for one in steps}
    assert all(needs[name] <= set(over) for name, over in begun)
    assert all(needs[name] <= over for name, over in before)
    again = run_steps(steps, job, lambda one: None, lambda one, so_far: None)
    assert all(one.kept for one in again)


def test_a_fault_stops_the_step_beside_it(job):
    going, looked = threading.Event(), []

    def endless(job: Job) -> Made:
        for i in job.track(range(100_000), "endless", None):
            looked.append(i)
            going.set()
            time.sleep(0.001)
        return Made("never")

    def refuses(job: Job) -> Made:
        going.wait(timeout=30)
        raise DataError("no face")

    steps = [Step("endless", endless, ()), Step("refuses", refuses, ()), Step("after", endless, (), needs=("refuses",))]
    with pytest.raises(DataError, match="no face"):
        run_steps(steps, job, lambda one: None, lambda one, so_far: None)
    assert 0 < len(looked) < 100_000
