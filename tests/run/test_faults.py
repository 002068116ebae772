"""What goes wrong on real machines, done on purpose: after each, nothing finished is lost and the table is that of a run left alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import FAST, bench, bench_json, start, timeless, wait_for

from bench import locks

pytestmark = pytest.mark.usefixtures("plugins_for_all")


def cell(run: Path, method: str = "t-killed", preset: str = "quick") -> Path:
    return run / f"cells/{method}--toy--{preset}--s0"


@pytest.fixture(scope="module")
def undisturbed(toy_folder: Path, plugins_for_all: None, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Record of t-killed when nobody kills it."""
    run = tmp_path_factory.mktemp("undisturbed") / "r"
    bench_json("run", "--methods", "t-killed", "--subjects", toy_folder, "--out", run, *FAST)
    return timeless(cell(run) / "record.json")


@pytest.mark.parametrize(
    ("stage", "kept"),
    [
        ("train", ()),
        ("load", ("training.csv",)),
        ("render", ("training.csv",)),
        ("audit", ("training.csv", "frames.mkv")),
        ("score", ("training.csv", "frames.mkv", "audit/share.mkv")),
        ("record", ("training.csv", "frames.mkv", "audit/share.mkv")),
    ],
)
def test_a_worker_killed_in_any_stage(stage, kept, undisturbed, toy_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("T_KILL", stage)
    monkeypatch.setenv("T_KILL_MARK", str(tmp_path / "mark"))
    arguments = ("run", "--methods", "mean-frame,t-killed", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    failed = bench_json(*arguments, code=1)["cells"]
    assert [one["status"] for one in failed] == ["ok", "failed"]
    assert "SIGKILL" in failed[1]["error"]
    here = cell(tmp_path / "r")
    written = {name: (here / name).stat().st_mtime_ns for name in kept}
    other = (cell(tmp_path / "r", "mean-frame") / "record.json").stat().st_mtime_ns
    assert [one["status"] for one in bench_json(*arguments)["cells"]] == ["ok", "ok"]
    assert timeless(here / "record.json") == undisturbed
    assert {name: (here / name).stat().st_mtime_ns for name in kept} == written  # what was over is not done again
    assert (cell(tmp_path / "r", "mean-frame") / "record.json").stat().st_mtime_ns == other


@pytest.mark.parametrize(
    "name", ["frames.mkv", "rendered.json", "audit/audit.json", "checkpoint/model.json", "record.json"]
)
def test_a_damaged_file_of_an_unfinished_cell_is_made_again(name, undisturbed, toy_folder, tmp_path):
    arguments = ("run", "--methods", "t-killed", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    bench_json(*arguments)
    here = cell(tmp_path / "r")
    (here / "record.json").unlink()
    path = here / name
    path.write_bytes(b"damaged" + (path.read_bytes()[7:] if path.exists() else b""))
    bench_json(*arguments)
    assert timeless(here / "record.json") == undisturbed
    if name == "checkpoint/model.json":
        assert (here / "checkpoint.changed/model.json").read_bytes().startswith(b"damaged")
    if name != "record.json":
        assert "made again" in (here / "log.txt").read_text() or "trained again" in (here / "log.txt").read_text()


def test_a_clock_that_jumps(toy_folder, tmp_path, monkeypatch):
    """Files from 2040 and from 1980, as after a clock was set: neither resuming nor times look at the wall clock."""
    monkeypatch.setenv("T_SLOW", "0.1")
    arguments = ("run", "--methods", "t-slow", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    process = start(*arguments)
    wait_for(lambda: (cell(tmp_path / "r", "t-slow") / "checkpoint/state.json").exists(), process)
    process.kill()
    process.communicate()
    with locks.hold(tmp_path / "r/.lock", patience=30):
        pass
    for place, path in enumerate(sorted(p for p in (tmp_path / "r").rglob("*") if p.is_file())):
        os.utime(path, (2.2e9, 2.2e9) if place % 2 else (3.2e8, 3.2e8))
    monkeypatch.setenv("T_SLOW", "0")
    document = bench_json(*arguments)
    assert document["cells"][0]["train_seconds"]["total"] > 0
    assert (cell(tmp_path / "r", "t-slow") / "log.txt").read_text().count("--- ") == 2
    bench_json("run", "--methods", "t-slow", "--subjects", toy_folder, "--out", tmp_path / "alone", *FAST)
    ours, alone = (timeless(cell(tmp_path / name, "t-slow") / "record.json") for name in ("r", "alone"))
    assert ours == alone


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("room", [0, 48])
def test_a_disk_that_fills_up(room, small_disk, undisturbed, toy_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.run.budget._check_disk", lambda *_: None)  # it would refuse to begin
    arguments = ("run", "--methods", "t-killed", "--subjects", toy_folder, "--out", small_disk / "r", *FAST)
    (small_disk / "ballast").write_bytes(bytes((3 * 1024 - room) * 1024))
    result = bench(*arguments)
    assert result.exit_code in (1, 2), result.output
    assert "no space left" in (result.stderr + result.stdout).lower()
    assert "Traceback" not in result.output
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=60m", small_disk], check=True)
    bench_json(*arguments)
    assert timeless(cell(small_disk / "r") / "record.json") == undisturbed


def test_memory_that_runs_out_halves_the_batch(toy_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("T_FITS", "2")
    arguments = ("run", "--methods", "t-memory", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    bench_json(*arguments)
    here = cell(tmp_path / "r", "t-memory")
    assert json.loads((here / "record.json").read_text())["provenance"]["batch"] == "1/4: memory ran out"
    assert json.loads((here / "checkpoint/model.json").read_text()) == 2
    assert not (here / "halvings.json").exists()


@pytest.mark.parametrize(("preset", "fits"), [("standard", "1"), ("quick", "4")])
def test_not_where_the_preset_forbids_it_nor_for_ever(preset, fits, toy_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("T_FITS", fits)
    document = bench_json(
        "run",
        "--methods",
        "t-memory",
        "--subjects",
        toy_folder,
        "--out",
        tmp_path / "r",
        "--preset",
        preset,
        *FAST,
        code=1,
    )
    assert document["cells"][0]["error"] == "out of memory: use a smaller preset or fewer --jobs"
