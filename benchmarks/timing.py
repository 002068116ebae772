"""How the benchmarks measure: candidates take turns in one process, and what counts is the ratio within a round.

A shared machine moves all times of a round alike, so that ratios hold where milliseconds don't. What would still favour one
side is set before anything starts (:data:`ENVIRONMENT`).
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench import system
from methods import kernels

ENVIRONMENT = {
    # torch's workers otherwise spin on their cores after each operation, and disturb whoever comes next
    "OMP_WAIT_POLICY": "PASSIVE",
    # freed memory stays with the process: a fresh page costs about 3 us in a virtual machine, and the torch peers, which
    # allocate the most, would pay most of that
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
_LEAST = 4.0
"""A turn lasts at least so many milliseconds: a quicker candidate is called several times."""
_MOST_CALLS = 20

Samples = dict[str, list[float]]
"""Milliseconds a call of each candidate, one a round."""


def settle() -> None:
    """Start this script again with :data:`ENVIRONMENT`, which has to stand before the libraries are loaded."""
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.environ.update(ENVIRONMENT)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    if kernels.native is None:
        sys.exit("error: the compiled kernels are not built: pip install .")


def interleave(runs: Mapping[str, Callable[[], object]], rounds: int) -> Samples:
    """Let the candidates take turns, every other round in reverse order, after one call each for warming up."""
    calls = {}
    for name, run in runs.items():
        run()
        calls[name] = min(_MOST_CALLS, math.ceil(_LEAST / _milliseconds(run, 1)))
    samples: Samples = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            samples[name].append(_milliseconds(runs[name], calls[name]))
    return samples


def _milliseconds(run: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return 1e3 * (time.perf_counter() - start) / calls


def quartiles(values: list[float]) -> dict[str, float]:
    """Median and quartiles, to four digits."""
    low, median, high = np.percentile(values, (25, 50, 75))
    return {name: float(f"{value:.4g}") for name, value in (("median", median), ("low", low), ("high", high))}


def ratio(peer: list[float], ours: list[float]) -> dict[str, float]:
    """How many times as long the peer takes: quartiles of the rounds' own ratios."""
    return quartiles([p / o for p, o in zip(peer, ours, strict=True)])


@contextmanager
def setting(**chosen: object) -> Iterator[dict[str, Any]]:
    """Under which conditions the block measures; what is known only afterwards is there afterwards."""
    import torch

    native = kernels.require()
    found: dict[str, Any] = {
        **chosen,
        "path": native.path(),
        "threads": native.threads(),
        "torch_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cpu": system.hardware()["cpu"],
        "cores": system.cores(),
        "load_before": round(os.getloadavg()[0], 2),
        "environment": ENVIRONMENT,
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }
    start, busy, own = time.perf_counter(), _busy(), _own()
    yield found
    seconds = time.perf_counter() - start
    found |= {"seconds": round(seconds, 1), "load_after": round(os.getloadavg()[0], 2)}
    if busy is not None:
        others = (_busy() or 0.0) - busy - (_own() - own)
        found["others"] = round(max(0.0, others) / (seconds * (os.cpu_count() or 1)), 3)


def _busy() -> float | None:
    """Seconds for which the machine's cores were busy or taken by the host so far; ``None`` where that can't be read."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
