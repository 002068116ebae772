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
