"""The machine: what it is, which versions it runs, which device and how many threads the work gets."""

from __future__ import annotations

import os
import platform
import shutil
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.errors import AbsentError, UsageError

_PACKAGES = ("talkbench", "torch", "torchvision", "numpy", "lpips", "scikit-image", "av", "mediapipe", "gsplat")
_THREAD_VARIABLES = (
    "BENCH_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip
_SLEEPERS = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
"""No library's idle threads may spin on a core that another one's need: OpenMP's sleep, OpenBLAS's (NumPy) can't, so there are none."""
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CELL_MEMORY = 3 * 2**30
"""Bytes that a training cell is reckoned to need."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on; those not installed are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def hardware() -> dict[str, str]:
    """CPU, cores, memory, operating system, and the GPU where there is one. Times of different machines don't compare."""
    found = {
        "cpu": _cpu_name(),
        "cores": str(cores()),
        "memory": f"{memory() / 2**30:.0f} GiB",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if gpu := gpu_name():
        found["gpu"] = gpu
    return found


def cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory that this process and its children may have: the machine's, or its container's where that is less."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(there, int(_CONTAINER_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such limit ("max"), or not Linux
        return there


def gpu_memory() -> int:
    """Bytes of the first CUDA device's memory; 0 where there is none."""
    if not gpu_name():
        return 0
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


@cache
def gpu_name() -> str | None:
    """Name of the first CUDA device that torch can use, or None. Loads torch only where a driver seems to be there."""
    driver = Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists() or shutil.which("nvidia-smi")
    if not driver:
        return None
    import torch

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else None


def pick_device(wish: str) -> str:
    """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        AbsentError: ``cuda`` is asked for and there is none.
    """
    if wish == "cpu":
        return "cpu"
    if gpu_name():
        return "cuda"
    if wish == "cuda":
        raise AbsentError(
            "--device cuda: torch sees no CUDA GPU on this machine; use --device cpu, or see `bench doctor`"
        )
    return "cpu"


def parallel_cells(device: str, cells: int) -> int:
    """How many cells to run at once: on CUDA one; on the CPU one a core, as far as memory goes.

    Training steps are many small operations: two cells with a thread each are nearly twice as fast as one with two.
    """
    if device != "cpu":
        return 1
    return max(1, min(cells, cores(), memory() // _CELL_MEMORY))


def threads_per_cell(training: int, parallel: int) -> int:
    """CPU threads for each cell: the cores, shared out over the cells that train at the same time.

    :param training: cells of the run that train; floors and ceilings, which are over in seconds, don't count
    :param parallel: cells at the same time
    """
    return max(1, cores() // max(1, min(training, parallel)))


def worker_hardware() -> dict[str, str]:
    """:func:`hardware`, and this worker's share of it: times depend on both."""
    share = {
        "threads": os.environ.get("BENCH_THREADS", str(cores())),
        "cells at once": os.environ.get("BENCH_PARALLEL", "1"),
    }
    return hardware() | share


def worker_environment(threads: int, parallel: int) -> dict[str, str]:
    """Environment of a worker process that is to use ``threads`` CPU threads, whatever library does the computing.

    ``BENCH_THREADS`` is for code of our own (a method's kernels): bench doesn't import methods, so it can't call them.
    """
    if threads < 1:
        raise UsageError(f"--threads {threads}: at least 1")
    share = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    return share | _SLEEPERS | {"BENCH_PARALLEL": str(parallel)}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
