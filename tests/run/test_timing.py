"""Frames per second."""

from __future__ import annotations

import pytest

from bench.records import Fps
from bench.run.timing import RenderClock


def measured(seconds: list[float]) -> RenderClock:
    times = iter([t for i, s in enumerate(seconds) for t in (100.0 * i, 100.0 * i + s)] + [1e9])
    clock = RenderClock(lambda: next(times))
    assert list(clock.timed(iter(range(len(seconds))))) == list(range(len(seconds)))
    return clock


def test_warm_up_does_not_count_and_outliers_do_not_matter():
    fps = measured([9, 9, 9, 0.5, 0.5, 0.5, 0.5, 0.9]).fps(preparation=1)
    assert fps.render == pytest.approx(2)
    assert fps.render_p95_ms == pytest.approx(900)
    assert fps.end_to_end == pytest.approx(8 / 30.9)


def test_a_renderer_that_works_in_batches_is_not_infinitely_fast():
    fps = measured([4, 0, 0, 0] * 5).fps(preparation=0)
    assert fps.render == pytest.approx(17 / 16)


def test_one_frame_and_none():
    assert measured([0.25]).fps(0).render == pytest.approx(4)
    assert RenderClock().fps(0) == Fps()


class Device:
    """A stand-in for CUDA's clock: a stream that works through what it is given, and a host whose time passes beside it."""

    def __init__(self) -> None:
        self.host = self.stream = 0.0
        self.waited: list[Event] = []

    def launch(self, seconds: float) -> None:
        """Work for the stream; the host goes on at once."""
        self.stream = max(self.stream, self.host) + seconds

    def copy(self) -> None:
        """What ``.cpu()`` does: the host waits for the stream."""
        self.host = self.stream = max(self.stream, self.host)


class Event:
    device: Device

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self, stream: object) -> None:
        assert stream == "stream of cuda:1"
        self.reached = max(self.device.stream, self.device.host)

    def synchronize(self) -> None:
        self.device.host = max(self.device.host, self.reached)
        self.device.waited.append(self)

    def elapsed_time(self, later: Event) -> float:
        assert later in self.device.waited, "asked before it was reached"
        return 1000 * (later.reached - self.reached)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    Event.device = Device()
    monkeypatch.setattr("torch.cuda.Event", Event)
    monkeypatch.setattr("torch.cuda.current_stream", lambda device: f"stream of {device}")
    return Event.device


def test_on_cuda_work_that_is_left_over_counts(device: Device):
    def frames():
        for number in range(8):
            device.launch(0.25)
            if number % 2:
                device.copy()
            yield number

    clock = RenderClock.on("cuda:1")
    for number, item in enumerate(clock.timed(frames())):
        assert item == number
        device.host += 100.0  # whoever takes the frame: not the renderer's time
    assert clock.seconds == pytest.approx([0.25] * 8)


def test_on_cuda_the_hosts_own_time_counts(device: Device):
    def frames():
        for number in range(5):
            device.launch(0.1)
            device.copy()
            device.host += 0.4  # as for a frame that is made on the CPU, or rounded to 8 bits there
            yield number

    clock = RenderClock.on("cuda:1")
    list(clock.timed(frames()))
    assert clock.seconds == pytest.approx([0.5] * 5)
    assert clock.fps(0).render == pytest.approx(2)


def test_elsewhere_no_gpu_is_asked(device: Device):
    clock = RenderClock.on("cpu")
    list(clock.timed(iter(range(3))))
    assert len(clock.seconds) == 3
    assert not device.waited
