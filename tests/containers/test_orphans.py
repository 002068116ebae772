"""Whoever is killed, worker, harness or both: the container and the host's processes go, at once or with the next run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dockerd import BASE, left_over, marked_processes
from harness import FAST, start, wait_for

from bench.containers import orphans

SLEEPS = """\
name = "sleeps"
title = "Sleeps"
summary = "Says so, then sleeps."
kind = "reference"
licence = "Apache-2.0"
sees = []
{place}
[[train]]
stage = "sleep"
run = "sh -c 'echo asleep; sleep 300'"
[render]
run = "true"
output = "{{out}}/{{id}}.png"
"""
CONTAINER, HOST = f'[image]\nname = "{BASE}"', "[command]"
_PATIENCE = 30.0


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.1)


def _asleep(place: str, toy_folder: Path, folder: Path) -> Any:
    """A run whose one program sleeps."""
    (folder / "sleeps.toml").write_text(SLEEPS.format(place=place))
    backend = "docker" if place == CONTAINER else "command"
    harness = start(
        "run", "--methods", f"sleeps@{backend}", "--subjects", toy_folder, "--out", folder / "run", *FAST,
        BENCH_METHODS=str(folder / "sleeps.toml"),
    )  # fmt: skip
    (log,) = [folder / f"run/cells/sleeps@{backend}--toy--quick--s0/log.txt"]
    wait_for(lambda: log.exists() and "asleep" in log.read_text(), harness)
    return harness


def _worker(harness: int) -> int:
    """The one child of a harness that runs our worker."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == harness and b"bench.run.worker" in (status.parent / "cmdline").read_bytes():
                return int(status.parent.name)
        except OSError:
            continue
    raise AssertionError("no worker")


@pytest.mark.parametrize("place", [CONTAINER, HOST], ids=["container", "host"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_harness_that_ends(
    number: signal.Signals, place: str, clean: Any, toy_folder: Path, tmp_path: Path
):
    harness = _asleep(place, toy_folder, tmp_path)
    assert left_over(clean) != []
    harness.send_signal(number)
    harness.wait(_PATIENCE)
    _until(lambda: left_over(clean) == [])


@pytest.mark.parametrize("place", [CONTAINER, HOST], ids=["container", "host"])
def test_a_killed_worker_is_a_failed_cell_that_leaves_nothing(place: str, clean: Any, toy_folder: Path, tmp_path: Path):
    harness = _asleep(place, toy_folder, tmp_path)
    os.kill(_worker(harness.pid), signal.SIGKILL)
    _, told = harness.communicate(timeout=_PATIENCE)
    assert harness.returncode == 1
    assert "killed by signal 9" in told
    assert left_over(clean) == []


@pytest.mark.parametrize("place", [CONTAINER, HOST], ids=["container", "host"])
def test_what_is_left_when_both_are_killed_goes_with_the_next_run(
    place: str, clean: Any, toy_folder: Path, tmp_path: Path
):
    harness = _asleep(place, toy_folder, tmp_path)
    os.killpg(harness.pid, signal.SIGKILL)
    harness.wait(_PATIENCE)
    assert left_over(clean) != []
    _until(lambda: orphans.clear() >= 0 and left_over(clean) == [])


def test_those_at_work_are_left_alone(engine: Any, toy_folder: Path, tmp_path: Path):
    harness = _asleep(HOST, toy_folder, tmp_path)
    before = marked_processes()
    orphans.clear()
    assert marked_processes() == before != []
    harness.send_signal(signal.SIGINT)
    harness.wait(_PATIENCE)
    _until(lambda: marked_processes() == [])
