"""How fast a method renders, measured while its frames are made."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from bench.records import Fps

T = TypeVar("T")

WARM_UP = 3
"""First frames that don't count: caches fill and kernels are chosen."""


class RenderClock:
    """Times an iterator item by item, from outside: whatever happens between two items isn't the renderer's."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: list[float] = []

    def timed(self, items: Iterator[T]) -> Iterator[T]:
        """Pass ``items`` on, timing each."""
        while True:
            start = self._clock()
            try:
                item = next(items)
            except StopIteration:
                return
            self.seconds.append(self._clock() - start)
            yield item

    def fps(self, preparation: float) -> Fps:
        """Speed over the frames after warm-up; ``preparation``: seconds that reading the conditioning took.

        A renderer that works in batches hands over most frames in no time, which makes a median meaningless: where it
        lies far below the mean, the mean counts.
        """
        if not self.seconds:
            return Fps()
        warm = self.seconds[min(WARM_UP, len(self.seconds) // 2) :]
        mean, median = statistics.fmean(warm), statistics.median(warm)
        p95 = sorted(warm)[round(0.95 * (len(warm) - 1))]
        return Fps(
            render=1 / (median if median > mean / 4 else mean),
            render_p95_ms=1000 * p95,
            end_to_end=len(self.seconds) / (preparation + sum(self.seconds)),
        )
