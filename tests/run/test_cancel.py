"""``bench cancel``: a run stops as on Ctrl-C, from elsewhere; what isn't at work, or not here, is said."""

from __future__ import annotations

import json
import platform
import signal
import threading
from pathlib import Path

import pytest
from harness import FAST, bench, bench_json, start, timeless, wait_for

from bench import locks
from bench.containers import owner
from bench.errors import BenchError
from bench.records import Plan, save
from bench.run import cancel, slurm_executor
from bench.run.layout import RunFolder

pytestmark = pytest.mark.usefixtures("plugins")
CELLS = ("mean-frame--toy--quick--s0", "t-slow--toy--quick--s0")


@pytest.fixture
def arguments(toy_folder: Path, tmp_path: Path) -> tuple[object, ...]:
    methods = ("--methods", "mean-frame,t-slow", "--jobs", 1)
    return ("run", *methods, "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)


def _training(run: Path) -> bool:
    return (run / "cells" / CELLS[1] / "checkpoint/state.json").exists()


def test_a_run_is_cancelled_and_goes_on(arguments, toy_folder, tmp_path, monkeypatch):
    run = tmp_path / "r"
    process = start(*arguments, T_SLOW="0.1")
    wait_for(lambda: _training(run), process)
    document = bench_json("cancel", run)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "give the same command again" in err
    assert document["command"].startswith("bench run --methods mean-frame,t-slow --subjects ")
    assert {k: document[k] for k in ("stopped", "process", "over", "begun", "waiting")} == {
        "stopped": True, "process": process.pid, "over": 1, "begun": 1, "waiting": 0
    }  # fmt: skip
    kept = (run / "cells" / CELLS[0] / "record.json").stat().st_mtime_ns

    again = bench("cancel", run)
    assert again.exit_code == 0
    assert f"no run is at work in {run}" in again.stdout
    assert f"to go on: {document['command']}" in again.stdout
    monkeypatch.setenv("T_SLOW", "0")
    bench_json(*arguments)
    assert (run / "cells" / CELLS[0] / "record.json").stat().st_mtime_ns == kept
    bench_json("run", "--methods", "t-slow", "--subjects", toy_folder, "--out", tmp_path / "alone", *FAST)
    ours, alone = (timeless(path / "cells" / CELLS[1] / "record.json") for path in (run, tmp_path / "alone"))
    assert ours == alone


@pytest.mark.slow
def test_a_run_on_slurm_takes_its_jobs_along(arguments, tmp_path):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'talkbench[scale]'")
    run = tmp_path / "r"
    environment = {"T_SLOW": "1", slurm_executor.CLUSTER: "local"}
    process = start(*arguments, "--executor", "slurm", **environment)
    wait_for(lambda: _training(run), process)
    assert bench("cancel", run).exit_code == 0
    process.communicate()
    assert not locks.is_held(run / ".locks" / CELLS[1])
    assert not (run / "cells" / CELLS[1] / "record.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True], ids=["a cluster of its own", "a cluster that is there"])
def test_a_run_on_ray_takes_its_tasks_along(arguments, tmp_path, there):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'talkbench[scale]'")
    from ray.cluster_utils import Cluster

    run, environment = tmp_path / "r", {"T_SLOW": "1", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2}) if there else None
    try:
        process = start(
            *arguments, "--executor", "ray", **environment, **({"RAY_ADDRESS": cluster.address} if cluster else {})
        )
        wait_for(lambda: _training(run), process)
        assert bench("cancel", run).exit_code == 0
        process.communicate()
        assert process.returncode == 130
        assert not locks.is_held(run / ".locks" / CELLS[1])
        assert not (run / "cells" / CELLS[1] / "record.json").exists()
    finally:
        if cluster:
            cluster.shutdown()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    save(tmp_path / "r/run.json", Plan(cells=[]))
    return RunFolder(tmp_path / "r")


def test_what_is_no_run_folder(tmp_path: Path):
    result = bench("cancel", tmp_path)
    assert (result.exit_code, result.stderr) == (1, f"error: {tmp_path} is not a run folder: it has no run.json\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"host": "h"}',
        '{"host": "h", "mark": 3, "since": ""}',
        '{"host": "h", "mark": "x", "since": ""}',
    ],
)
def test_a_lock_that_says_nothing_is_not_asked(run: RunFolder, text: str):
    with locks.hold(run.lock, 0):
        run.lock.write_text(text)
        result = bench("cancel", run.root)
    assert result.exit_code == 2
    assert "its lock doesn't say who it is: stop it where it was started" in result.stderr


def test_a_run_of_another_machine_is_not_asked(run: RunFolder):
    with locks.hold(run.lock, 0) as lock:
        cancel.sign(lock)
        signed = json.loads(run.lock.read_text())
        assert signed["host"] == platform.node()
        run.lock.write_text(json.dumps(signed | {"host": "elsewhere"}))
        result = bench("cancel", run.root)
    assert result.exit_code == 2
    assert f"is at work on elsewhere, process {owner.mark().split(':')[0]}: cancel it there" in result.stderr


def test_a_process_that_took_the_number_of_a_dead_run_is_left_alone(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    """The lock is still held, by workers that are about to end; its number is that of another process by now, say ours."""
    with locks.hold(run.lock, 0) as lock:
        cancel.sign(lock)
        run.lock.write_text(run.lock.read_text().replace(owner.mark(), f"{owner.mark()}0"))
        monkeypatch.setattr(cancel.os, "kill", lambda *_: pytest.fail("it was asked to stop"))
        with pytest.raises(BenchError, match=f"kill -9 {owner.mark().split(':')[0]}"):
            cancel.stop(run, patience=0.3)


def test_a_stoppable_block_ends_on_sigterm_and_leaves_no_trace():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), cancel.stoppable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_elsewhere_than_in_the_main_thread_signals_stay_as_they_are():
    seen = []

    def work() -> None:
        with cancel.stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
