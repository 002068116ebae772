"""Programs whose harness was killed before it could end them."""

from __future__ import annotations

from bench.containers import engine, host
from bench.errors import AbsentError


def clear() -> int:
    """End and remove them, in the engine (where one answers) and on the host; returns how many there were."""
    found = host.sweep()
    try:
        return found + engine.sweep(engine.connect())
    except AbsentError:
        return found


def count() -> int:
    """How many there are, in the engine (where one answers) and on the host."""
    found = len(host.orphans())
    try:
        return found + len(engine.orphans(engine.connect()))
    except AbsentError:
        return found
