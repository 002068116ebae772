"""All cores for work that releases Python's lock (decoding, JPEG, scipy, models), a few items at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from bench import system

A = TypeVar("A")
B = TypeVar("B")


def each(function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """``function`` of each item, in order, by as many threads as there are cores; at most two items a thread are held."""
    workers = system.cores()
    waiting: deque[Future[B]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error, what has not begun is not begun
            for future in waiting:
                future.cancel()
