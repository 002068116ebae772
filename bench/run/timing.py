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

Watch = Callable[[], Callable[[], float]]
"""Starts to measure; calling what it returns ends that, and gives the seconds between."""


class RenderClock:
    """Times an iterator item by item, from outside: whatever happens between two items isn't the renderer's.

    An item ends as a picture of 8 bits in the computer's own memory: the copy from a GPU belongs to it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter, *, watch: Watch | None = None) -> None:
        """``clock``: seconds; ``watch``: measures in its place."""
        self._watch = watch or _by(clock)
        self.seconds: list[float] = []

    @classmethod
    def on(cls, device: str) -> RenderClock:
        """A clock for a renderer on ``device``: by events on CUDA, else by the computer's clock."""
        return cls(watch=cuda_watch(device)) if device.startswith("cuda") else cls()

    def timed(self, items: Iterator[T]) -> Iterator[T]:
        """Pass ``items`` on, timing each."""
        while True:
            stop = self._watch()
            try:
                item = next(items)
            except StopIteration:
                return
            self.seconds.append(stop())
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


def cuda_watch(device: str) -> Watch:
    """Measures by a pair of events on the device's current stream.

    The second is reached once all that was put on the stream before it is done: work left over when a frame is handed
    over counts too. Where the host is the slower one, the stream waits for it between the events, and that counts.
    """
    import torch

    def begin() -> Callable[[], float]:
        stream = torch.cuda.current_stream(device)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        first.record(stream)

        def end() -> float:
            last.record(stream)
            last.synchronize()
            return float(first.elapsed_time(last)) / 1000

        return end

    return begin


def _by(clock: Callable[[], float]) -> Watch:
    def begin() -> Callable[[], float]:
        start = clock()
        return lambda: clock() - start

    return begin
