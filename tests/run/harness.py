"""How the run tests start ``bench``: in this process, or as one that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from bench.cli import main

FAST = ("--metrics", "psnr,ssim", "--no-references", "--no-reuse")
"""Runs side by side must not share their work where their results are compared."""
_PATIENCE = 120.0


def bench(*arguments: object) -> Result:
    """``bench …`` in this process (its workers are processes all the same)."""
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def bench_json(*arguments: object, code: int = 0) -> Any:
    """``bench … --json``: the one document that stdout must hold."""
    result = bench(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """``bench …`` as the head of a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", "from bench.cli import main; main()", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | environment,
        # A shell's background job, as CI may be, hands on that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until ``condition`` holds; fails if the process ends first or nothing happens for two minutes."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def timeless(record: Path) -> dict[str, Any]:
    """A record without the parts that depend on the clock, the machine's memory and the checkout's state."""
    found = json.loads(record.read_text())
    for key in ("started", "seconds", "fps", "train_seconds", "peak_memory_bytes", "hardware"):
        found.pop(key)
    found["provenance"].pop("code git", None)  # somebody may be editing
    return found
