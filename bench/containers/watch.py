"""Keeps an eye on a running program: its time, what it writes, whether it is to stop, and why it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.containers.log import Log
from bench.containers.step import Step
from bench.errors import MethodError

_TICK = 0.1
_GRACE = 1.5
"""Seconds between SIGTERM and SIGKILL: less than the executor leaves a worker."""
_DRAIN = 5.0
"""Seconds for the rest of the output to arrive once the program is over."""


@dataclass(frozen=True)
class Exit:
    """How a program ended."""

    code: int
    """As a shell has it: 128 + signal for one that was killed."""
    out_of_memory: bool = False
    """The system killed it, or something that it had started, for want of memory."""
    started: bool = True
    """False: the system found no such program, or couldn't start it; ``code`` says which, as 127 or 126."""


class Process(Protocol):
    """A program that was started, in a container or on the host."""

    memory: str
    """Its limit, in words; empty: none."""

    def output(self) -> Iterator[bytes]:
        """All that it prints, as it comes."""

    def poll(self) -> Exit | None:
        """None while it runs."""

    def written(self) -> int:
        """Bytes it wrote elsewhere than into the step's folders."""

    def stop(self, number: int) -> None:
        """Send it a signal; nothing happens if it is over."""

    def close(self) -> None:
        """End it if it isn't over, and remove all that is left of it."""


def supervise(process: Process, step: Step, progress: Callable[[int, int], None]) -> None:
    """Wait for the program; whatever happens, nothing of it is left.

    :param progress: told (done, total) whenever the output says so; total 0: not said
    :raises MethodError: it failed, or was stopped at a limit or by SIGTERM; one line with the cause
    """
    log = Log(sys.stdout, step.steps)
    reader = threading.Thread(target=_copy, args=(log, process), daemon=True)
    reader.start()
    try:
        with _termination() as asked:
            ended = _wait(process, step, log, asked, progress)
        reader.join(_DRAIN)
    finally:
        process.close()
    if log.done:
        progress(log.done, log.total)
    if cause := explain(ended, process.memory, step.command[0], log.last):
        raise MethodError(f"{step.name} {cause}")


def explain(ended: Exit, memory: str, command: str, last: str) -> str:
    """Why a program failed, in words that follow its name; empty if it didn't.

    >>> explain(Exit(127, started=False), "", "pyton", "")
    "can't be started: there is no command 'pyton'"
    """
    code = ended.code
    if ended.out_of_memory:
        return f"ran out of memory: its limit is {memory} (memory in its TOML)"
    if code == 0:
        return ""
    if not ended.started:
        return "can't be started: " + (
            f"there is no command {command!r}" if code == 127 else f"{command!r} isn't executable"
        )
    said = f"; its last line: {last[:200]}" if last else "; it printed nothing"
    if 128 < code < 128 + signal.NSIG:
        number = code - 128
        with contextlib.suppress(ValueError):
            return f"was killed by signal {number} ({signal.Signals(number).name}){said}"
    what = {126: " (a command it calls isn't executable)", 127: " (a command it calls isn't there)"}.get(code, "")
    return f"ended with exit code {code}{what}{said}"


def folder_size(root: Path) -> int:
    """Bytes on disk of everything below ``root``; what goes while we look isn't counted."""
    total, waiting = 0, [root]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
    return total


def _copy(log: Log, process: Process) -> None:
    with contextlib.suppress(OSError, ValueError):  # the connection is cut when the program is removed
        log.copy(process.output())


def _wait(process: Process, step: Step, log: Log, asked: threading.Event, progress: Callable[[int, int], None]) -> Exit:
    begun, told = time.monotonic(), (0, 0)
    weighing, weighed = 0.0, begun
    while (ended := process.poll()) is None:
        now, cause = time.monotonic(), ""
        if asked.is_set():
            cause = "was interrupted"
        elif now - begun > step.seconds:
            cause = f"took longer than its limit of {step.seconds / 3600:.3g} h (hours in its TOML)"
        elif now - weighed > max(0.5, 20 * weighing):  # looking at many small files takes its time
            cause = _too_much(process, step)
            weighed = time.monotonic()
            weighing = weighed - now
        if cause:
            _end(process)
            raise MethodError(f"{step.name} {cause}")
        if (log.done, log.total) != told:
            told = (log.done, log.total)
            progress(*told)
        time.sleep(_TICK)
    if ended.code == 0 and (cause := _too_much(process, step)):
        raise MethodError(f"{step.name} {cause}")
    return ended


def _too_much(process: Process, step: Step) -> str:
    size = process.written() + sum(map(folder_size, step.grows))
    if size <= step.disk:
        return ""
    return f"wrote {size / 2**20:.0f} MiB, more than its limit of {step.disk / 2**20:.0f} MiB (disk in its TOML)"


def _end(process: Process) -> None:
    process.stop(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_TICK)
    process.stop(signal.SIGKILL)


@contextlib.contextmanager
def _termination() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, instead of ending this process before the program is gone."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
