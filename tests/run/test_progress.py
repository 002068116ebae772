"""The training log: times add up across kills and resumes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from bench.parts import Parts
from bench.run.layout import CellFolder
from bench.run.progress import TrainingProgress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path) -> CellFolder:
    return CellFolder(tmp_path)


def begin(folder: CellFolder, clock: Clock) -> TrainingProgress:
    return TrainingProgress(folder, lambda event: None, clock)


def work(progress: TrainingProgress, clock: Clock, steps: range, seconds: float) -> None:
    for step in steps:
        clock.now += seconds
        progress.step(step, {"loss": 1 / step})


def test_seconds_are_kept_per_stage(folder, clock):
    progress = begin(folder, clock)
    clock.now += 2
    progress.stage("face", 4)
    work(progress, clock, range(1, 5), 3)
    clock.now += 1  # writing the last checkpoint
    progress.stage("mouth", 2)
    work(progress, clock, range(1, 3), 5)
    assert progress.finish() == {"total": 25, "setup": 2, "face": 13, "mouth": 10}
    table = pd.read_csv(folder.training)
    assert list(table.columns) == ["stage", "step", "seconds", "loss"]
    assert list(table.stage) == ["setup"] + ["face"] * 4 + ["mouth"] * 2


def test_a_killed_session_counts_up_to_the_checkpoint(folder, clock):
    whole = begin(folder, clock)
    whole.stage("face", 10)
    work(whole, clock, range(1, 8), 3)  # killed here; the method's last checkpoint is at 5

    clock.now += 1000
    resumed = begin(folder, clock)
    resumed.stage("face", 10)
    clock.now += 50  # loading
    resumed.step(5)
    work(resumed, clock, range(6, 11), 3)
    assert resumed.finish() == {"total": 30, "setup": 0, "face": 30}
    assert list(pd.read_csv(folder.training).step) == [0, *range(1, 11)]


def test_a_stage_begun_again_starts_from_zero(folder, clock):
    first = begin(folder, clock)
    first.stage("face", 4)
    work(first, clock, range(1, 4), 3)
    again = begin(folder, clock)
    again.stage("face", 4)
    again.step(0)
    work(again, clock, range(1, 5), 2)
    assert again.finish()["face"] == 8


def test_finished_stages_keep_their_time_and_place(folder, clock):
    first = begin(folder, clock)
    first.stage("face", 1)
    work(first, clock, range(1, 2), 3)
    first.stage("mouth", 2)
    work(first, clock, range(1, 2), 4)
    resumed = begin(folder, clock)
    clock.now += 1
    resumed.stage("mouth", 2)
    resumed.step(1)
    work(resumed, clock, range(2, 3), 4)
    assert list(resumed.finish().items()) == [("total", 12), ("setup", 1), ("face", 3), ("mouth", 8)]


def test_a_torn_last_line_is_dropped(folder, clock):
    first = begin(folder, clock)
    first.stage("face", 4)
    work(first, clock, range(1, 4), 3)
    text = folder.steps.read_text()
    folder.steps.write_text(text[:-7])
    resumed = begin(folder, clock)
    resumed.stage("face", 4)
    resumed.step(2)
    assert [json.loads(line)[1] for line in folder.steps.read_text().splitlines()] == [0, 1, 2]


def test_events_are_throttled_but_the_last_step_is_told(folder, clock):
    events = []
    progress = TrainingProgress(folder, events.append, clock)
    progress.stage("face", 100)
    work(progress, clock, range(1, 101), 0.01)
    steps = [event["done"] for event in events if event["event"] == "step"]
    assert 5 < len(steps) < 20
    assert steps[-1] == 100


def test_pictures_are_kept(folder, clock):
    begin(folder, clock).image("face-000001", np.zeros((4, 4, 3), np.uint8))
    assert (folder.pictures / "face-000001.jpg").exists()


def profiled(folder: CellFolder, clock: Clock) -> tuple[TrainingProgress, Parts]:
    parts = Parts(clock=clock)
    return TrainingProgress(folder, lambda event: None, clock, parts), parts


def test_steps_are_counted_for_the_profile_though_not_each_is_told(folder, clock):
    progress, parts = profiled(folder, clock)
    clock.now += 100
    progress.stage("face", 20)
    for done in (10, 20):
        clock.now += 5
        progress.step(done)
    clock.now += 100  # writing the last checkpoint
    progress.stage("mouth", 3)
    progress.step(0)
    clock.now += 6
    progress.step(3)
    progress.finish()
    assert {name: (p.steps, p.milliseconds) for name, p in parts.profile().items()} == {
        "face": (20, {"other": 500}),
        "mouth": (3, {"other": 2000}),
    }


def test_a_profile_holds_only_steps_of_its_own_session(folder, clock):
    first = begin(folder, clock)
    first.stage("fuse", 2)
    work(first, clock, range(1, 3), 1)
    first.stage("face", 10)
    work(first, clock, range(1, 8), 1)  # killed here; the method's last checkpoint is at 5
    resumed, parts = profiled(folder, clock)
    resumed.stage("fuse", 2)
    resumed.step(2)  # was finished
    resumed.stage("face", 10)
    clock.now += 50  # loading
    resumed.step(5)
    work(resumed, clock, range(6, 11), 3)
    resumed.finish()
    assert {name: (p.steps, p.milliseconds) for name, p in parts.profile().items()} == {"face": (5, {"other": 3000})}


def test_steps_whose_reports_a_kill_swallowed_are_not_counted(folder, clock):
    """The log ends at 3, the checkpoint is of 5: it was an earlier session that did 4 and 5."""
    first = begin(folder, clock)
    first.stage("face", 10)
    work(first, clock, range(1, 4), 1)
    resumed, parts = profiled(folder, clock)
    resumed.stage("face", 10)
    clock.now += 50
    resumed.step(5)
    work(resumed, clock, range(6, 8), 3)
    assert (parts.profile()["face"].steps, parts.profile()["face"].milliseconds) == (2, {"other": 3000})
