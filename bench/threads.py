"""How several CPU cores are used, for scoring and by methods: so that no number depends on how many there are.

The policy, all of it: ``bench run`` gives each cell a number of threads (:func:`bench.system.threads_per_cell`, ``--threads``)
through the environment (:func:`bench.system.worker_environment`). Scoring gives each thread whole frames (:func:`each`). The
compiled kernels split a frame, with sums that come out the same for any number of threads, while torch computes with one
thread beside them (:func:`one_torch_thread`). A plugin's own torch code has the cell's number.

Libraries' own threads (torch's, OpenCV's) split a frame instead: they meet at barriers, which costs more than it gains as
soon as anything else runs, and another split sums in another order.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from bench import system
from bench.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")


def allowed() -> int:
    """How many threads may compute at once: ``$BENCH_THREADS`` (``bench run`` sets it in its workers), else one a core."""
    wish = os.environ.get("BENCH_THREADS", "")
    if not wish:
        return system.cores()
    if not wish.isdecimal() or int(wish) < 1:
        raise UsageError(f"BENCH_THREADS={wish}: expected a number of at least 1")
    return int(wish)


def each(function: Callable[..., Result], *columns: Iterable[Any]) -> list[Result]:
    """``[function(*row) for row in zip(*columns)]``, on :func:`allowed` threads.

    ``function`` must not touch shared state. Within it, torch uses one thread. From inside another ``each`` it is a plain loop.

    >>> each(lambda a, b: a + b, [1, 2, 3], [10, 20, 30])
    [11, 22, 33]
    """
    rows = list(zip(*columns, strict=True))
    with one_torch_thread():
        if allowed() == 1 or len(rows) < 2 or getattr(_here, "works", False):
            return [function(*row) for row in rows]
        return list(_pool(allowed()).map(lambda row: function(*row), rows))


def ahead(items: Iterator[Item]) -> Generator[Item]:
    """The same items, each made in another thread while the caller is busy with the one before it."""
    end = object()
    with ThreadPoolExecutor(1, "bench-ahead") as maker:
        coming = maker.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = maker.submit(next, items, end)
            yield item  # type: ignore[misc]  # it isn't ``end``


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch computes with one thread for as long as anyone is in here, in all threads that begin meanwhile."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with _lock:
        if not _torch["inside"]:
            _torch["before"] = torch.get_num_threads()
        _torch["inside"] += 1
        if torch.get_num_threads() != 1:  # the count is kept a thread; setting it drops torch's caches
            torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _torch["inside"] -= 1
            if not _torch["inside"] and _torch["before"] != 1:
                torch.set_num_threads(_torch["before"])


_here = threading.local()
_lock = threading.Lock()
_torch = {"inside": 0, "before": 1}


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """The threads of :func:`each`: kept, because each of them keeps buffers."""

    def mark() -> None:
        _here.works = True

    return ThreadPoolExecutor(threads, "bench-each", initializer=mark)


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of the threads
