"""Containers: the engine, and what each program would need of this machine."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from bench import registry, system, weights
from bench.containers import engine as docker
from bench.containers import image
from bench.containers.method import Program
from bench.doctor.finding import Finding
from bench.doctor.machine import available_memory
from bench.errors import AbsentError, BenchError

_GIB = 2**30
_DRIVERS = {
    (11, 8): 520,
    (12, 0): 525,
    (12, 1): 530,
    (12, 2): 535,
    (12, 3): 545,
    (12, 4): 550,
    (12, 5): 555,
    (12, 6): 560,
    (12, 8): 570,
    (13, 0): 580,
}
"""The first driver on Linux that runs a CUDA version (NVIDIA's CUDA release notes, table 3)."""


def engine() -> list[Finding]:
    """Whether Docker answers."""
    try:
        client = docker.connect()
    except AbsentError as error:
        return [Finding("docker", "absent", "needed for methods in containers only", str(error))]
    about = client.version()
    kind = "rootless" if docker.rootless(client) else "as root"
    return [Finding("docker", "ok", f"engine {about.get('Version', 'unknown')}, {kind}")]


def programs() -> list[Finding]:
    """Each program in a container: image, GPU, driver, memory, disk, licensed files; its first lack."""
    try:
        every, broken = registry.programs()
    except BenchError as error:
        return [Finding("programs", "broken", str(error), "correct BENCH_METHODS")]
    found = [Finding("program", "broken", str(error), "correct the TOML") for error in broken]
    client, no_engine = None, ""
    try:
        client = docker.connect()
    except AbsentError as error:
        no_engine = str(error)
    return found + [_program(one, client, no_engine) for one in every if one.spec.image]


def _program(one: Program, client: Any, no_engine: str) -> Finding:
    about = one.spec.image
    assert about is not None
    lacks = [*_hardware(one), *_files(one)]
    if no_engine:
        lacks.append(("no Docker engine", no_engine))
    else:
        try:
            image.require(client, one.found, one.label)
        except AbsentError as error:
            lacks.append(("its image isn't here", str(error)))
    detail = f"{one.spec.title}, CUDA {about.cuda}" if about.cuda else one.spec.title
    if not lacks:
        return Finding(f"program {one.label}", "ok", detail)
    reasons = "; ".join(dict.fromkeys(reason for reason, _ in lacks))
    return Finding(f"program {one.label}", "absent", f"{detail}: {reasons}", lacks[0][1])


def _hardware(one: Program) -> list[tuple[str, str]]:
    """(what is lacking, remedy) of GPU, driver, memory and disk."""
    about, lacks = one.spec.image, []
    assert about is not None
    if about.gpu and not system.gpu_name():
        lacks.append(("no NVIDIA GPU", "run it on a machine with one"))
    elif about.gpu and about.cuda and (short := _driver_lack(about.cuda)):
        lacks.append((short, f"install a driver for CUDA {about.cuda} or newer"))
    if (free := available_memory()) < about.memory:
        lacks.append(
            (
                f"{free / _GIB:.0f} GiB of memory free, its limit is {about.memory / _GIB:.0f}",
                "end other programs, or lower memory in its TOML",
            )
        )
    if (room := shutil.disk_usage(".").free) < about.disk:
        lacks.append(
            (
                f"{room / _GIB:.0f} GiB of disk free, it may write {about.disk / _GIB:.0f}",
                "free some, or use --out on another disk",
            )
        )
    return lacks


def _files(one: Program) -> list[tuple[str, str]]:
    entries = [weights.get(name) for name in one.spec.inputs.weights]
    return [(f"{e.file} isn't here", e.remedy()) for e in entries if e.state() not in ("present", "unchecked")]


def _driver_lack(cuda: str) -> str:
    """What is wrong with the driver for an image's CUDA; empty: nothing, or nobody knows."""
    major, minor = map(int, cuda.split("."))
    needed = _DRIVERS.get((major, minor))
    found = driver()
    if needed is None or found is None or found >= needed:
        return ""
    return f"driver {found}, CUDA {cuda} needs {needed}"


def driver() -> int | None:
    """The NVIDIA driver's branch (535 of 535.104.05); None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    first = asked.stdout.strip().partition(".")[0]
    return int(first) if asked.returncode == 0 and first.isdecimal() else None
