"""What talkbench leans on, looked at: one finding a thing, with a remedy for whatever is missing (``bench doctor``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.doctor import files, machine, programs, software
from bench.doctor.finding import Finding

__all__ = ["CHECKS", "Finding", "findings"]

CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    software.python, software.torch, machine.processor, machine.memory, machine.disk, software.kernels, software.codecs,
    software.methods, programs.engine, programs.programs, software.detectors, files.weights,
)  # fmt: skip


def findings() -> Iterator[Finding]:
    """Every finding, as the checks come to an end."""
    for check in CHECKS:
        yield from check()
