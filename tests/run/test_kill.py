"""Killed at any moment, a run goes on where it stopped, and two runs never share a folder."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from harness import FAST, bench, bench_json, start, timeless, wait_for

from bench import locks

pytestmark = pytest.mark.usefixtures("plugins")


@pytest.fixture
def arguments(toy_folder, tmp_path):
    # one cell after the other: mean-frame is over when t-slow is interrupted
    run = ("run", "--methods", "mean-frame,t-slow", "--jobs", 1)
    return (*run, "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)


def slow_cell(tmp_path: Path, run: str = "r") -> Path:
    return tmp_path / run / "cells/t-slow--toy--quick--s0"


def training(tmp_path: Path) -> bool:
    return (slow_cell(tmp_path) / "checkpoint/state.json").exists()


def test_kill_9_in_the_middle_gives_the_same_record(arguments, toy_folder, tmp_path, monkeypatch):
    process = start(*arguments, T_SLOW="0.1")
    wait_for(lambda: training(tmp_path), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    with locks.hold(tmp_path / "r/.lock", patience=30):  # the kernel takes its time to clear a killed worker away
        pass
    state = {cell["cell"]: cell["state"] for cell in bench_json("status", tmp_path / "r")["cells"]}
    assert state == {"mean-frame--toy--quick--s0": "ok", "t-slow--toy--quick--s0": "interrupted"}
    kept = (tmp_path / "r/cells/mean-frame--toy--quick--s0/record.json").stat().st_mtime_ns

    monkeypatch.setenv("T_SLOW", "0")
    bench_json(*arguments)
    assert (tmp_path / "r/cells/mean-frame--toy--quick--s0/record.json").stat().st_mtime_ns == kept
    assert (slow_cell(tmp_path) / "log.txt").read_text().count("--- ") == 2  # it was resumed, not begun
    bench_json("run", "--methods", "t-slow", "--subjects", toy_folder, "--out", tmp_path / "alone", *FAST)
    assert timeless(slow_cell(tmp_path) / "record.json") == timeless(slow_cell(tmp_path, "alone") / "record.json")
    steps = [line.split(",")[:2] for line in (slow_cell(tmp_path) / "training.csv").read_text().splitlines()]
    assert steps == [
        line.split(",")[:2] for line in (slow_cell(tmp_path, "alone") / "training.csv").read_text().splitlines()
    ]


def test_a_kill_after_training_does_not_train_again(toy_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("T_SLOW", "0")
    arguments = ("run", "--methods", "t-slow", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    bench_json(*arguments)
    cell = slow_cell(tmp_path)
    whole = timeless(cell / "record.json")
    for name in ("record.json", "frames.mkv", "frames.parquet"):
        (cell / name).unlink()
    (cell / ".frames.half.mkv").write_bytes(b"left by a kill")
    written = (cell / "training.csv").stat().st_mtime_ns
    bench_json(*arguments)
    assert timeless(cell / "record.json") == whole
    assert (cell / "training.csv").stat().st_mtime_ns == written
    assert not (cell / ".frames.half.mkv").exists()


def test_a_dead_parent_takes_its_workers_along(arguments, tmp_path):
    process = start(*arguments, T_SLOW="0.1")
    wait_for(lambda: training(tmp_path), process)
    process.kill()  # the parent alone
    process.communicate()
    with locks.hold(tmp_path / "r/.lock", patience=30):  # which its workers hold until they end
        assert not (slow_cell(tmp_path) / "record.json").exists()


def test_ctrl_c_is_130_and_says_how_to_go_on(arguments, tmp_path):
    process = start(*arguments, T_SLOW="0.1")
    wait_for(lambda: training(tmp_path), process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "give the same command again" in err
    assert "error: interrupted" in err
    assert "Traceback" not in err
    assert (tmp_path / "r/cells/mean-frame--toy--quick--s0/record.json").exists()
    assert not (slow_cell(tmp_path) / "record.json").exists()


def test_two_runs_exclude_each_other(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.run.session._ORPHANS_DIE_IN", 0.1)
    process = start(*arguments, T_SLOW="0.1")
    try:
        wait_for(lambda: training(tmp_path), process)
        result = bench(*arguments)
        assert result.exit_code == 2
        assert f"another `bench run` is at work in {tmp_path / 'r'}" in result.stderr
        assert bench_json("status", tmp_path / "r")["working"] is True
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
