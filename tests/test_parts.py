"""Parts of a training step: every moment belongs to one of them, and to none while nothing is recorded."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from bench.parts import Parts, booked, part, recording


class Clock:
    """Time goes on only when told to."""

    now = 0.0
    reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def parts(clock) -> Parts:
    parts = Parts(clock=clock)
    parts.stage("only")
    return parts


def fail(clock: Clock, seconds: float) -> None:
    clock.now += seconds
    raise ZeroDivisionError


def spend(clock: Clock, name: str, seconds: float) -> None:
    with part(name):
        clock.now += seconds


def test_while_nothing_is_recorded_there_is_one_object_and_no_clock(parts, clock, monkeypatch):
    monkeypatch.setattr("time.perf_counter", lambda: pytest.fail("the clock was read"))
    reads = clock.reads
    assert part("rasterise") is part("backward")
    with part("rasterise"), part("rasterise"):
        pass
    assert clock.reads == reads


def test_recording_ends_with_its_block_however_that_ends(parts, clock):
    off = part("a")
    with recording(parts):
        assert part("a") is not off
    assert part("a") is off
    with pytest.raises(ZeroDivisionError), recording(parts):
        fail(clock, 1)
    assert part("a") is off


def test_milliseconds_per_step_and_what_is_left(parts, clock):
    with recording(parts):
        parts.stage("face")
        for _ in range(4):
            spend(clock, "motion", 0.003)
            spend(clock, "loss", 0.001)
            spend(clock, "motion", 0.001)
            clock.now += 0.0005
            parts.steps(1)
    (face,) = parts.profile().values()
    assert face.steps == 4
    assert face.milliseconds == pytest.approx({"motion": 4, "loss": 1, "other": 0.5})
    assert list(face.milliseconds) == ["motion", "loss", "other"]


def test_an_inner_part_pauses_the_outer(parts, clock):
    with recording(parts):
        with part("backward"):
            clock.now += 1
            with part("rasterise backward"):
                clock.now += 10
                spend(clock, "backward", 100)  # of the same name as one around it
            clock.now += 2
        parts.steps(1)
    assert parts.profile()["only"].milliseconds == {"backward": 103e3, "rasterise backward": 10e3, "other": 0}


def test_an_inner_part_of_another_thread_pauses_the_outer_too(parts, clock):
    """As autograd does on CUDA: its thread works while the one that asked for it waits."""
    with recording(parts):
        with part("backward"):
            clock.now += 1
            thread = threading.Thread(target=spend, args=(clock, "rasterise backward", 10))
            thread.start()
            thread.join()
            clock.now += 2
        parts.steps(1)
    assert parts.profile()["only"].milliseconds == {"backward": 3e3, "rasterise backward": 10e3, "other": 0}


def test_parts_that_overlap_do_not_add_up_to_more_than_there_was(parts, clock):
    """Two threads at once, the first entered left first."""
    with recording(parts):
        first, second = part("first"), part("second")
        first.__enter__()
        clock.now += 1
        second.__enter__()
        clock.now += 2
        first.__exit__(None, None, None)
        clock.now += 4
        second.__exit__(None, None, None)
        clock.now += 8
        parts.steps(1)
    assert parts.profile()["only"].milliseconds == {"first": 1e3, "second": 6e3, "other": 8e3}


def test_calls_of_a_booked_function_are_a_part(parts, clock):
    @booked("loss")
    def backward(seconds: float) -> str:
        """Its own."""
        clock.now += seconds
        return "gradient"

    assert (backward(1), backward.__doc__) == ("gradient", "Its own.")  # decorated long before anything is recorded
    with recording(parts):
        parts.steps(0)
        with part("backward"):
            assert backward(2) == "gradient"
        parts.steps(1)
    assert parts.profile()["only"].milliseconds == {"backward": 0, "loss": 2e3, "other": 0}


def test_an_error_leaves_the_part(parts, clock):
    with recording(parts):
        with pytest.raises(ZeroDivisionError), part("loss"):
            fail(clock, 1)
        clock.now += 2
        parts.steps(1)
    assert parts.profile()["only"].milliseconds == {"loss": 1e3, "other": 2e3}


def test_stages_are_kept_apart_and_what_follows_the_last_step_is_nobodys(parts, clock):
    with recording(parts):
        spend(clock, "load", 50)
        parts.stage("face")
        spend(clock, "motion", 2)
        parts.steps(2)
        spend(clock, "motion", 100)  # writing the last checkpoint
        parts.stage("mouth")
        spend(clock, "motion", 3)
        parts.steps(1)
    profile = parts.profile()
    assert list(profile) == ["face", "mouth"]
    assert profile["face"].milliseconds == {"motion": 1e3, "other": 0}
    assert profile["mouth"].milliseconds == {"motion": 3e3, "other": 0}


def test_what_comes_before_the_step_from_which_a_stage_goes_on_is_setting_up(parts, clock):
    with recording(parts):
        parts.stage("face")
        spend(clock, "load", 50)
        parts.steps(0)
        spend(clock, "motion", 2)
        parts.steps(1)
        spend(clock, "motion", 4)
        parts.steps(0)  # the same step told again
        parts.steps(1)
    assert parts.profile()["face"].milliseconds == {"motion": 3e3, "other": 0}


def test_a_step_in_the_middle_of_a_part_cuts_it(parts, clock):
    with recording(parts), part("all"):
        clock.now += 1
        parts.steps(1)
        clock.now += 3
        parts.steps(1)
    assert parts.profile()["only"].milliseconds == {"all": 2e3, "other": 0}


def test_a_part_called_other_is_what_is_left_as_well(parts, clock):
    with recording(parts):
        spend(clock, "other", 1)
        clock.now += 2
        spend(clock, "loss", 4)
        parts.steps(1)
    assert list(parts.profile()["only"].milliseconds.items()) == [("loss", 4e3), ("other", 3e3)]


def test_queued_work_is_waited_for_at_every_boundary(clock):
    """Work queued within a part counts there, not where something happens to wait for it."""
    queue: list[float] = []

    def synchronise() -> None:
        while queue:
            clock.now += queue.pop()

    parts = Parts(synchronise, clock)
    parts.stage("only")
    with recording(parts):
        queue.append(1)  # before the part
        with part("motion"):
            queue.append(2)
            with part("encode"):
                queue.append(4)
            queue.append(8)
        queue.append(16)
        parts.steps(1)
    assert parts.profile()["only"].milliseconds == {"motion": 10e3, "encode": 4e3, "other": 17e3}


def test_it_knows_no_torch():
    code = "import bench.parts, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
