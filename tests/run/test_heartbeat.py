"""A cell at work says how far it is; one that hangs, or is gone, can be told from it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from harness import FAST, bench, bench_json, start, wait_for

from bench.records import CellKey
from bench.run import heartbeat
from bench.run.layout import CellFolder, RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> CellFolder:
    return CellFolder(tmp_path)


def test_a_cell_says_how_far_it_is_until_it_is_over(folder: CellFolder):
    with heartbeat.beating(folder, every=0.01) as note:
        note({"event": "stage", "stage": "fine", "total": 40})
        note({"event": "note", "text": "slow"})
        note({"event": "step", "done": 12, "scalars": {}})
        _until(lambda: (sign := heartbeat.last(folder)) is not None and sign.done == 12)
        sign = heartbeat.last(folder)
        assert sign
        assert (sign.stage, sign.done, sign.total) == ("fine", 12, 40)
        assert 0 <= sign.since_sign <= sign.since_step < 5
    assert heartbeat.last(folder) is None
    assert not list(folder.root.iterdir())


def test_steps_that_stop_show_while_the_signs_go_on(folder: CellFolder):
    with heartbeat.beating(folder, every=0.01) as note:
        note({"event": "step", "done": 1, "scalars": {}})
        _until(lambda: (sign := heartbeat.last(folder)) is not None and sign.since_step > 0.3)
        sign = heartbeat.last(folder)
        assert sign
        assert sign.since_sign < sign.since_step


def test_signs_that_stop_show(folder: CellFolder):
    """As where a process is dead, or hangs in C and lets no other thread run."""
    (folder.root / ".alive").write_text('{"stage": "fine", "done": 3, "total": 9, "since_step": 5}')
    then = time.time() - 180
    os.utime(folder.root / ".alive", (then, then))
    sign = heartbeat.last(folder)
    assert sign
    assert sign.since_sign == pytest.approx(180, abs=5)
    assert sign.since_step == pytest.approx(185, abs=5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": "x", "other": 1}', "null"])
def test_a_broken_sign_is_none(folder: CellFolder, text: str):
    (folder.root / ".alive").write_text(text)
    assert heartbeat.last(folder) is None


def test_a_clock_that_was_set_back_gives_no_negative_age(folder: CellFolder):
    (folder.root / ".alive").write_text('{"since_step": 0.0}')
    later = time.time() + 3600
    os.utime(folder.root / ".alive", (later, later))
    sign = heartbeat.last(folder)
    assert sign
    assert (sign.since_sign, sign.since_step) == (0, 0)


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path):
    with heartbeat.beating(CellFolder(tmp_path / "gone"), every=0.01) as note:
        note({"event": "stage", "stage": "fine", "total": 40})
        time.sleep(0.05)


@pytest.mark.usefixtures("plugins")
def test_status_tells_since_when_a_cell_hangs(toy_folder: Path, tmp_path: Path):
    process = start("run", "--methods", "t-hangs", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    cell = RunFolder(tmp_path / "r").cell(CellKey(method="t-hangs", subject="toy", preset="quick", seed=0))
    wait_for(lambda: (sign := heartbeat.last(cell)) is not None and sign.done == 1 and sign.since_step > 2, process)
    (row,) = bench_json("status", tmp_path / "r")["cells"]
    assert row["state"] == "running"
    assert row["detail"].startswith("forever, step 1 of 10; last step ")
    assert 0 <= row["sign"]["since_sign"] < row["sign"]["since_step"]
    assert "last step" in bench("status", tmp_path / "r").stdout
    bench("cancel", tmp_path / "r")
    process.communicate()


def _until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
