"""The machine: processor, GPU, memory, disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench import paths, system
from bench.doctor.finding import Finding

_GIB = 2**30
_ROOM = 2 * _GIB
_CELL = 1.7 * _GIB
"""Most memory that a cell of a native method took on the embedded subjects (er-nerf on ada, quick: 1.5 GiB), and a little more."""


def processor() -> list[Finding]:
    """Processor and GPU."""
    found = system.hardware()
    gpu, cpu = found.get("gpu"), f"{found['cpu']}, {found['cores']} cores, {found['memory']}"
    graphics = (
        Finding("gpu", "ok", gpu)
        if gpu
        else Finding("gpu", "absent", "no CUDA device that torch can use", "not needed: --device cpu")
    )
    return [Finding("cpu", "ok", cpu), graphics]


def memory() -> list[Finding]:
    """Free memory against what the cells take that would run at once."""
    free = available_memory()
    cells = system.parallel_cells("cpu", system.cores())
    detail = f"{free / _GIB:.1f} GiB free; {cells} cells at once take up to {cells * _CELL / _GIB:.1f}"
    if free >= cells * _CELL:
        return [Finding("memory", "ok", detail)]
    fitting = int(free // _CELL)
    if fitting:
        return [Finding("memory", "absent", detail, f"end other programs, or run with --jobs {fitting}")]
    return [Finding("memory", "broken", detail, "end other programs")]


def disk() -> list[Finding]:
    """Room here and in the cache."""
    found = []
    for what, place in (("disk, here", Path.cwd()), ("disk, cache", paths.home())):
        there = next(path for path in (place, *place.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        detail = f"{free / _GIB:.1f} GiB free at {there}"
        enough = free > _ROOM
        remedy = "" if enough else "free some, or move the cache with BENCH_HOME"
        found.append(Finding(what, "ok" if enough else "broken", detail, remedy))
    return found


def available_memory() -> int:
    """Bytes that programs can have without others being swapped out."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
