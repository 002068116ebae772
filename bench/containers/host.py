"""Programs that run on the host itself: no confinement, the user's rights, but limits of time and disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.containers import owner
from bench.containers.step import Step
from bench.containers.watch import Exit


class HostProcess:
    """A command of the host, with everything that it starts."""

    memory = ""

    def __init__(self, step: Step, folder: Path, environment: Mapping[str, str]) -> None:
        """Start it in ``folder``, which is the TOML's."""
        self._mark = f"{owner.mark()}:{id(self)}"
        self._failed: Exit | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                step.command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True, env=os.environ | environment | {owner.VARIABLE: self._mark},
            )  # fmt: skip
        except FileNotFoundError:
            self._failed = Exit(127, started=False)
        except OSError:
            self._failed = Exit(126, started=False)

    def output(self) -> Iterator[bytes]:
        """See :class:`bench.containers.watch.Process`."""
        if self._process and self._process.stdout:
            while chunk := os.read(self._process.stdout.fileno(), 1 << 16):
                yield chunk

    def poll(self) -> Exit | None:
        """See :class:`bench.containers.watch.Process`."""
        if self._process is None:
            return self._failed
        code = self._process.poll()
        return None if code is None else Exit(code if code >= 0 else 128 - code)

    def written(self) -> int:
        """Nobody counts what it writes elsewhere."""
        return 0

    def stop(self, number: int) -> None:
        """See :class:`bench.containers.watch.Process`."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def close(self) -> None:
        """End it and what it left running, even in sessions of its own."""
        self.stop(signal.SIGKILL)
        for number in _marked(lambda mark: mark == self._mark):
            _kill(number)
        if self._process:
            self._process.wait()


def orphans() -> list[int]:
    """Processes that programs of a harness that is gone left running."""
    return list(_marked(lambda mark: not owner.alive(mark.rpartition(":")[0])))


def sweep() -> int:
    """Kill what programs of a harness that is gone left running; returns how many processes."""
    found = orphans()
    for number in found:
        _kill(number)
    return len(found)


def _kill(number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(number, signal.SIGKILL)


def _marked(wanted: object) -> Iterator[int]:
    """Processes whose environment has our variable with a value that ``wanted`` accepts."""
    assert callable(wanted)
    prefix = f"{owner.VARIABLE}=".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for entry in (folder / "environ").read_bytes().split(b"\0"):
                if entry.startswith(prefix) and wanted(entry[len(prefix) :].decode(errors="replace")):
                    yield int(folder.name)
