"""A sign of life of a cell at work: its process says every few seconds how far it is and when it last got on.

A cell whose steps have stopped can so be told from one that is dead, or that hangs where not even a thread of its own gets through.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from bench.run.layout import CellFolder

_EVERY = 5.0
"""Seconds between two signs."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Sign:
    """How far a cell is."""

    stage: str = "start"
    done: int = 0
    total: int = 0
    """Steps of the stage; 0: it has none."""
    since_step: float = 0.0
    """Seconds since it got on: since the last step, or since the stage began."""
    since_sign: float = 0.0
    """Seconds since its process said so."""


@contextmanager
def beating(folder: CellFolder, every: float = _EVERY) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Signs from a thread of its own while the block runs; call what is yielded with every event (``stage`` or ``step``)."""
    pulse = _Pulse(_file(folder))
    over = threading.Event()
    thread = threading.Thread(target=pulse.beat, args=(over, every), daemon=True)
    thread.start()
    try:
        yield pulse.note
    finally:
        over.set()
        thread.join()
        pulse.path.unlink(missing_ok=True)


def last(folder: CellFolder) -> Sign | None:
    """The last sign of a cell; None: there is none, or it can't be read."""
    path = _file(folder)
    try:
        sign = Sign(**json.loads(path.read_text(encoding="utf-8")))
        age = max(0.0, time.time() - path.stat().st_mtime)
        return replace(sign, since_step=sign.since_step + age, since_sign=age)
    except (OSError, ValueError, TypeError):
        return None


class _Pulse:
    """What is known of the cell, written down again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sign, self._when = Sign(), time.monotonic()

    def note(self, event: dict[str, Any]) -> None:
        if event["event"] == "stage":
            self._sign = Sign(event["stage"], 0, event["total"])
        elif event["event"] == "step":
            self._sign = replace(self._sign, done=event["done"])
        else:
            return
        self._when = time.monotonic()

    def beat(self, over: threading.Event, every: float) -> None:
        while True:
            self._write()
            if over.wait(every):
                return

    def _write(self) -> None:
        told = asdict(replace(self._sign, since_step=time.monotonic() - self._when))
        new = self.path.with_name(f"{self.path.name}.new")
        with suppress(OSError):  # a full disk is the cell's to say; a sign that is missing is a sign, too
            new.write_text(json.dumps(told), encoding="utf-8")
            os.replace(new, self.path)


def _file(folder: CellFolder) -> Path:
    return folder.root / ".alive"
