"""A run that is at work, asked to stop from elsewhere (``bench cancel``).

Who holds a run folder's lock signs it; the lock itself is the kernel's, so that what a dead run left in the file is never believed.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from bench import locks
from bench.containers import owner
from bench.errors import BenchError, UsageError
from bench.run.layout import RunFolder

_PATIENCE = 60.0
"""Seconds a run may take to stop: its workers have five, Slurm gives its jobs thirty."""
_POLL = 0.1


@dataclass(frozen=True)
class Holder:
    """Who is at work, as its lock file says."""

    host: str
    mark: str
    """Process and when it started (:func:`bench.containers.owner.mark`)."""
    since: str

    @property
    def process(self) -> int:
        """Its number."""
        return int(self.mark.partition(":")[0])


def sign(lock: int) -> None:
    """Write this process into a lock that it holds.

    :param lock: the lock's descriptor
    """
    holder = Holder(platform.node(), owner.mark(), datetime.now(UTC).isoformat(timespec="seconds"))
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(asdict(holder)).encode(), 0)


def holder(lock: Path) -> Holder | None:
    """Who signed last; None: nobody, or an older version."""
    try:
        found = Holder(**json.loads(lock.read_text(encoding="utf-8")))
        return found if found.process > 0 else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM, which :func:`stop`, container engines and schedulers send, ends what is in the block as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def handler_kept() -> Iterator[None]:
    """SIGTERM means the same after the block, in which a library (Ray) puts a handler of its own in place that ends the process at once."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def stop(run: RunFolder, patience: float = _PATIENCE) -> Holder | None:
    """Ask the run that is at work in a folder to stop, and wait until it and its cells have; None: none was.

    Raises:
        UsageError: it can't be asked from here; nothing was done.
        BenchError: it is still at work after ``patience`` seconds.
    """
    if not locks.is_held(run.lock):
        return None
    found = holder(run.lock)
    if found is None:
        raise UsageError(f"{run.root} is at work, but its lock doesn't say who it is: stop it where it was started")
    if found.host != platform.node():
        raise UsageError(f"{run.root} is at work on {found.host}, process {found.process}: cancel it there")
    if owner.alive(found.mark):  # else its workers are about to end by themselves
        os.kill(found.process, signal.SIGTERM)
    _wait(run, found, time.monotonic() + patience)
    return found


def _wait(run: RunFolder, found: Holder, deadline: float) -> None:
    """Until the run's lock is free, and those of cells on other machines of a cluster."""
    while any(locks.is_held(path) for path in (run.lock, *run.lock.with_name(".locks").glob("*"))):
        if time.monotonic() >= deadline:
            raise BenchError(
                f"{run.root}: process {found.process} was asked to stop and is still at work; "
                f"`bench status {run.root}` shows it, `kill -9 {found.process}` ends it (finished cells are kept)"
            )
        time.sleep(_POLL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
