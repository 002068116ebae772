"""The compiled CPU kernels: where they are found, and how many threads and which instruction set they use.

``native`` is the compiled module, or ``None`` where it was not built; every kernel has a pure-torch twin that takes
over then (correct, 30 to 70 times slower), with one warning that says so. Environment:

* ``BENCH_THREADS``: threads of the kernels (default: the CPUs this process may use). Results never depend on it.
* ``BENCH_KERNELS``: ``avx2`` or ``portable`` forces that path, ``off`` the torch twins (default: the best there is).

In a source checkout ``pip install -e . --no-deps --no-build-isolation`` builds the module, and again after a change.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
from torch import Tensor

from bench.errors import BenchWarning

_REMEDY = "reinstall talkbench with a C++17 compiler at hand (`pip install .`)"


def _load() -> ModuleType | None:
    choice = os.environ.get("BENCH_KERNELS", "auto")
    if choice == "off":
        return None
    try:
        module = importlib.import_module("methods.kernels._kernels")
    except ImportError:
        return None
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    module.set_threads(int(os.environ.get("BENCH_THREADS", cpus)))
    if choice != "auto":
        module.use_path(choice)
    return module


native: ModuleType | None = _load()
_warned = False


def available() -> bool:
    """True if the compiled module is here; otherwise warns, once, what happens instead and how to change it."""
    global _warned
    if native is None and not _warned:
        _warned = True
        warnings.warn(
            f"talkbench's compiled CPU kernels are not here; slow torch code runs instead: {_REMEDY}",
            BenchWarning,
            stacklevel=3,
        )
    return native is not None


def require() -> ModuleType:
    """The compiled module, or a ``ValueError`` that says how to get it."""
    if native is None:
        raise ValueError(f"the compiled CPU kernels are not here: {_REMEDY}, or use backend='torch'")
    return native


def array(tensor: Tensor) -> np.ndarray:
    """A CPU tensor's memory as an array, C-contiguous (copied if it is not): a quarter of the cost of passing the tensor."""
    return tensor.detach().contiguous().numpy()


def set_threads(n: int) -> None:
    """Let the kernels use ``n`` threads, the caller's included."""
    if n < 1:
        raise ValueError(f"threads must be at least 1, not {n}")
    require().set_threads(n)


@contextmanager
def using(*, path: str | None = None, threads: int | None = None) -> Iterator[None]:
    """Force an instruction-set path (``"portable"``, ``"avx2"``) or a thread count for a block; for tests and benchmarks."""
    module = require()
    before = module.path(), module.threads()
    try:
        if path is not None:
            module.use_path(path)
        if threads is not None:
            set_threads(threads)
        yield
    finally:
        module.use_path(before[0])
        module.set_threads(before[1])
