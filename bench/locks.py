"""Locks between processes. The kernel frees them when their last holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):
    """Another process holds the lock."""


@contextmanager
def hold(path: Path, patience: float) -> Iterator[int]:
    """Hold the lock file ``path``, waiting up to ``patience`` seconds; yields its descriptor.

    A child that inherits the descriptor keeps the lock until it ends, too.

    Raises:
        Busy: someone else still holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, time.monotonic() + patience)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock file just now."""
    if not path.exists():
        return False
    try:
        with hold(path, patience=0):
            return False
    except Busy:
        return True


def _acquire(descriptor: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy from None
            time.sleep(0.05)
