"""``bench doctor``: one line for everything that talkbench leans on, with a remedy for whatever is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import click
from rich.markup import escape
from rich.table import Table

from bench import paths, registry, system, weights
from bench.cli.output import JSON, console, emit
from bench.errors import AbsentError, BenchError

_GIB = 2**30
_ROOM = 2 * _GIB
_MARKS = {"ok": "[green]ok[/green]", "absent": "[yellow]absent[/yellow]", "broken": "[red]broken[/red]"}


@dataclass(frozen=True)
class Finding:
    """One line."""

    what: str
    state: Literal["ok", "absent", "broken"]
    """``absent``: optional and not here; ``broken``: talkbench can't do its job."""
    detail: str
    remedy: str = ""


@click.command("doctor")
@JSON
def command(as_json: bool) -> None:
    """Check this machine. Exit code 1 if something needed is broken."""
    findings = [finding for check in CHECKS for finding in check()]
    if as_json:
        emit({"findings": [asdict(finding) for finding in findings]})
    else:
        view = Table(box=None, show_header=False, pad_edge=False)
        for _ in range(4):
            view.add_column(overflow="fold")
        for finding in findings:
            view.add_row(_MARKS[finding.state], finding.what, escape(finding.detail), escape(finding.remedy))
        console().print(view)
    sys.exit(1 if any(finding.state == "broken" for finding in findings) else 0)


def _python() -> list[Finding]:
    right = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return [
        Finding(
            "python", "ok" if right else "broken", platform.python_version(), "" if right else "use Python 3.11 or 3.12"
        )
    ]


def _torch() -> list[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Finding("torch", "broken", str(error), "pip install --force-reinstall torch torchvision")]
    return [Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")]


def _machine() -> list[Finding]:
    found = system.hardware()
    gpu = found.get("gpu")
    return [
        Finding("cpu", "ok", f"{found['cpu']}, {found['cores']} cores, {found['memory']}"),
        Finding(
            "gpu",
            "ok" if gpu else "absent",
            gpu or "no CUDA device that torch can use",
            "" if gpu else "not needed: --device cpu",
        ),
    ]


def _kernels() -> list[Finding]:
    """Whether the shipped extension was built; found by file, since bench imports no method."""
    home = importlib.util.find_spec("methods.kernels")
    built = importlib.util.find_spec("methods.kernels._kernels") if home else None
    if built:
        return [Finding("cpu kernels", "ok", str(built.origin))]
    return [
        Finding(
            "cpu kernels",
            "absent",
            "not built: the torch twins are used, many times slower",
            "pip install . (needs a C++17 compiler)",
        )
    ]


def _disk() -> list[Finding]:
    findings = []
    for what, place in (("disk, here", os.getcwd()), ("disk, cache", str(paths.home()))):
        while not os.path.exists(place):
            place = os.path.dirname(place)
        free = shutil.disk_usage(place).free
        remedy = "" if free > _ROOM else "free some, or move the cache with BENCH_HOME"
        findings.append(
            Finding(what, "ok" if free > _ROOM else "broken", f"{free / _GIB:.1f} GiB free at {place}", remedy)
        )
    return findings


def _methods() -> list[Finding]:
    names, broken = registry.names(), []
    for name in names:
        try:
            registry.get(name)
        except BenchError as error:
            broken.append(Finding(f"method {name}", "broken", str(error), "mend or uninstall its package"))
    if not names:
        return [Finding("methods", "broken", "none is installed", "install talkbench: pip install .")]
    return broken or [Finding("methods", "ok", ", ".join(names))]


def _detectors() -> list[Finding]:
    from bench import landmarks

    findings = []
    for name in landmarks.DETECTORS:
        try:
            detector = landmarks.get(name)
            findings.append(Finding(f"landmarks {name}", "ok", detector.version))
        except AbsentError as error:
            findings.append(Finding(f"landmarks {name}", "absent", "not here", str(error)))
    return findings


def _weights() -> list[Finding]:
    findings = []
    for name, entry in weights.REGISTRY.items():
        state = entry.state()
        if state in ("present", "unchecked"):
            findings.append(Finding(f"weights {name}", "ok", f"{entry.needed_by} ({state})"))
        elif entry.fetcher or state == "broken":
            findings.append(Finding(f"weights {name}", "absent", f"{entry.needed_by} ({state})", entry.remedy()))
    return findings


CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    _python, _torch, _machine, _kernels, _disk, _methods, _detectors, _weights,
)  # fmt: skip
