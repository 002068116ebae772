"""A plugin that hangs when it is imported ends its cell, not the run's patience."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench.isolated import import_seconds
from bench.run.progress import Emit

_BACKSTOP = 5.0
"""Seconds later, what holds Python's lock, so that no thread can speak, is ended without a word but its log's."""


@contextmanager
def import_limit(label: str, emit: Emit) -> Iterator[None]:
    """Within the block a plugin is imported; if that takes too long, this process ends, after saying where it hung."""
    limit = import_seconds()

    def give_up() -> None:
        faulthandler.dump_traceback(sys.stderr)
        emit(
            {
                "event": "failed",
                "error": f"plugin of {label} hangs when it is imported (over {limit:g} s): its log shows where",
            }
        )
        os._exit(1)

    timer = threading.Timer(limit, give_up)
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(limit + _BACKSTOP, exit=True)
    try:
        yield
    finally:
        timer.cancel()
        faulthandler.cancel_dump_traceback_later()
