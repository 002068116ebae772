"""What a plugin says of itself, asked in a process of its own: the harness never runs a stranger's code.

A plugin may fail to import, hang, fork, print, end the process or describe itself as nonsense; here that is one error.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bench.contract import MethodInfo
from bench.errors import MethodError, UsageError

_SECONDS = "BENCH_PLUGIN_SECONDS"


def import_seconds() -> float:
    """How long a plugin may take to be imported: ``$BENCH_PLUGIN_SECONDS``, by default 60.

    Raises:
        UsageError: it is no positive number.
    """
    text = os.environ.get(_SECONDS, "60")
    with suppress(ValueError):
        if (seconds := float(text)) > 0:
            return seconds
    raise UsageError(f"{_SECONDS}={text!r}: expected seconds, such as 60")


@cache
def info(name: str, variant: str = "") -> MethodInfo:
    """The ``info`` of the plugin called ``name``, as the variant that is written so (checked by the caller).

    Raises:
        MethodError: there is none to be had; the message says what the plugin did instead.
    """
    with tempfile.TemporaryDirectory(prefix="bench-plugin-") as folder:
        answer, log = Path(folder, "answer.json"), Path(folder, "log.txt")
        code = _ask(name, variant, answer, log)
        said = log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((f"; it said: {line.strip()}" for line in reversed(said) if line.strip()), "")
        if code is None:
            raise MethodError(
                f"plugin of method {name!r} hangs when it is imported (over {import_seconds():g} s, {_SECONDS}){last}"
            )
        if not answer.exists():
            ended = f"exit code {code}" if code >= 0 else f"signal {-code}"
            raise MethodError(f"plugin of method {name!r} ends the process when it is imported ({ended}){last}")
        return _read(name, answer.read_bytes())


def _ask(name: str, variant: str, answer: Path, log: Path) -> int | None:
    """Exit code of the process that was asked; None: it had to be killed. Nothing that it started is left."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.isolated", name, variant, str(answer)],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(import_seconds())
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read(name: str, answer: bytes) -> MethodInfo:
    try:
        found = json.loads(answer)
        if error := found.get("error"):
            raise MethodError(error)
        return TypeAdapter(MethodInfo).validate_python(found["info"])
    except (ValueError, KeyError, AttributeError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MethodError(f"plugin of method {name!r} describes itself as nonsense: {reason}") from error


def _main(name: str, variant: str, answer: Path) -> None:
    from bench import registry
    from bench.paths import write_text

    try:
        said: dict[str, object] = {"info": asdict(registry.get(name, variant).info)}
    except MethodError as error:
        said = {"error": str(error)}
    write_text(answer, json.dumps(said, default=sorted))  # a set as a list


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
