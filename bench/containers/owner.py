"""Whose a running program is: so that one whose harness was killed can be told from one at work."""

from __future__ import annotations

import os
from pathlib import Path

LABEL = "talkbench.owner"
VARIABLE = "TALKBENCH_OWNER"


def mark() -> str:
    """This process: its number and when it started, which no later process shares."""
    return f"{os.getpid()}:{_started(os.getpid())}"


def alive(mark: str) -> bool:
    """Whether the process of a mark still runs."""
    number, _, started = mark.partition(":")
    return number.isdecimal() and started != "" and _started(int(number)) == started


def _started(number: int) -> str:
    """Clock ticks from boot to the start of a process; empty if there is none, or no /proc."""
    try:
        status = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = status.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
