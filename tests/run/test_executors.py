"""Ray and Slurm (submitit's local stand-in): the same records as the local executor; a lost machine costs no cell."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import FAST, bench, bench_json, timeless

from bench import locks, records
from bench.errors import AbsentError, UsageError
from bench.records import CellKey, Record
from bench.run import executor, ray_executor, remote, slurm_executor
from bench.run.layout import Job
from bench.run.preflight import Request, prepare

pytestmark = pytest.mark.usefixtures("plugins")
Execute = Callable[..., Iterator[Record]]


class Seen:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.begun: list[CellKey] = []
        self.stages: list[tuple[CellKey, str]] = []
        self.over: list[CellKey] = []

    def started(self, cell: CellKey) -> None:
        self.begun.append(cell)

    def event(self, cell: CellKey, event: dict[str, Any]) -> None:
        if event["event"] == "stage":
            self.stages.append((cell, event["stage"]))

    def ended(self, cell: CellKey, record: Record) -> None:
        self.over.append(cell)


def _jobs(toy: Path, out: Path, methods: tuple[str, ...]) -> list[Job]:
    request = Request(methods, [str(toy)], metrics=("psnr", "ssim"), references=False, device="cpu", out=out)
    prepared = prepare(request)
    records.save(prepared.run.plan, prepared.plan)
    return prepared.jobs


def _done(execute: Execute, jobs: list[Job], seen: Seen, limit: float | None = None) -> dict[CellKey, Record]:
    lock = jobs[0].run / ".lock"
    with locks.hold(lock, 0) as held:
        found = execute(jobs, lock=held, parallel=2, threads=1, limit=limit, offline=True, watcher=seen)
        return {record.cell: record for record in found}


def _same(toy: Path, tmp_path: Path, execute: Execute) -> None:
    """An executor's records, files and events are the local one's."""
    methods = ("mean-frame", "t-slow", "t-raises", "t-dies")
    ours, theirs = _jobs(toy, tmp_path / "local", methods), _jobs(toy, tmp_path / "other", methods)
    seen = Seen()
    local, found = _done(executor.execute, ours, Seen()), _done(execute, theirs, seen)
    assert found.keys() == local.keys() == set(seen.begun) == set(seen.over)
    assert len(seen.begun) == len(seen.over) == len(methods)
    for here, there in zip(ours, theirs, strict=True):
        assert timeless(here.folder.record) == timeless(there.folder.record)
        names = {path.name for path in here.folder.root.iterdir()}
        assert {path.name for path in there.folder.root.iterdir()} == names
    assert found[theirs[0].cell].status == "ok"
    assert found[theirs[2].cell].error == local[ours[2].cell].error
    assert "the loss became nan" in str(found[theirs[2].cell].error)


@pytest.fixture(scope="module")
def ray() -> Any:
    module = pytest.importorskip("ray", reason="Ray is not installed: pip install 'talkbench[scale]'")
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    return module


def test_ray_gives_the_local_records(ray: Any, toy_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("T_SLOW", "0.01")
    monkeypatch.setattr(ray_executor, "_AHEAD", 2)  # fewer than there are cells
    asked: list[int] = []
    wait = ray.wait
    monkeypatch.setattr(ray, "wait", lambda refs, **options: asked.append(len(refs)) or wait(refs, **options))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        _same(toy_folder, tmp_path, ray_executor.execute)
        assert max(asked) == 2
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.parametrize(("address", "given"), [(None, "local"), ("", "local"), ("head:6379", "head:6379")])
def test_only_a_cluster_that_is_named_is_used(
    ray: Any, monkeypatch: pytest.MonkeyPatch, address: str | None, given: str
) -> None:
    """Left to itself, Ray would connect to whichever runs on this machine, somebody else's, too."""
    if address is None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("RAY_ADDRESS", address)
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "init", lambda **options: started.append(options))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with ray_executor._cluster(3):
        pass
    (options,) = started
    assert (options["address"], options.get("num_cpus")) == (given, 3 if given == "local" else None)


@pytest.mark.slow
def test_a_lost_machine_costs_no_cell(ray: Any, toy_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("T_SLOW", "0.2")
    (whole,) = _jobs(toy_folder, tmp_path / "whole", ("t-slow",))
    _done(executor.execute, [whole], Seen())
    (job,) = _jobs(toy_folder, tmp_path / "lost", ("t-slow",))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        first = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        found = ray_executor.execute(
            [job], lock=-1, parallel=1, threads=1, limit=None, offline=True, watcher=_Loses(cluster, first, job)
        )
        (record,) = found
        assert record.status == "ok"
        assert timeless(job.folder.record) == timeless(whole.folder.record)
        assert job.folder.log.read_text().count("--- ") == 2  # it went on elsewhere
    finally:
        ray.shutdown()
        cluster.shutdown()


class _Loses(Seen):
    """Takes the machine away once the cell's training has left a checkpoint, and puts another one there."""

    def __init__(self, cluster: Any, node: Any, job: Job) -> None:
        super().__init__()
        self.cluster, self.node, self.job = cluster, node, job

    def event(self, cell: CellKey, event: dict[str, Any]) -> None:
        super().event(cell, event)
        if self.node is not None and (self.job.folder.checkpoint / "state.json").exists():
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = None
            self.cluster.add_node(num_cpus=1)


def test_slurm_gives_the_local_records(toy_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'talkbench[scale]'")
    monkeypatch.setenv(slurm_executor.CLUSTER, "local")
    monkeypatch.setenv("T_SLOW", "0.01")
    _same(toy_folder, tmp_path, slurm_executor.execute)


def test_a_slurm_job_that_is_killed_is_a_failed_cell(toy_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    submitit = pytest.importorskip("submitit", reason="submitit is not installed: pip install 'talkbench[scale]'")
    monkeypatch.setenv(slurm_executor.CLUSTER, "local")
    monkeypatch.setenv("T_SLOW", "1")
    (job,) = _jobs(toy_folder, tmp_path / "r", ("t-slow",))
    started = submitit.local.local.start_controller
    killed: list[int] = []

    def and_kill(*arguments: Any, **options: Any) -> Any:
        process = started(*arguments, **options)
        time.sleep(3)
        os.killpg(process.pid, signal.SIGKILL) if os.getpgid(process.pid) == process.pid else process.kill()
        killed.append(process.pid)
        return process

    monkeypatch.setattr(submitit.local.local, "start_controller", and_kill)
    found = _done(slurm_executor.execute, [job], Seen())
    assert killed
    assert found[job.cell].status == "failed"
    assert "without a record" in str(found[job.cell].error)


def test_a_finished_cell_is_not_done_twice(toy_folder: Path, tmp_path: Path) -> None:
    (job,) = _jobs(toy_folder, tmp_path / "r", ("mean-frame",))
    told = remote.order(job, 1, None, True)
    remote.run_here(told)
    before = job.folder.record.stat().st_mtime_ns
    remote.run_here(told)
    assert job.folder.record.stat().st_mtime_ns == before


def test_two_machines_do_not_share_a_cell(toy_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(remote, "_LOST_NODES_DIE_IN", 0.1)
    (job,) = _jobs(toy_folder, tmp_path / "r", ("mean-frame",))
    with locks.hold(job.run / ".locks" / job.cell.name, 0), pytest.raises(locks.Busy):
        remote.run_here(remote.order(job, 1, None, True))
    assert not job.folder.record.exists()


def test_what_is_missing_is_said(monkeypatch: Any) -> None:
    monkeypatch.delenv(slurm_executor.CLUSTER, raising=False)
    monkeypatch.setattr(slurm_executor.shutil, "which", lambda name: None)
    with pytest.raises(AbsentError, match=r"talkbench\[scale\]|login node"):
        slurm_executor.require()
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(AbsentError, match=r"talkbench\[scale\]"):
        ray_executor.require()


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_parameters_of_slurm_are_an_object(text: str, monkeypatch: Any) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'talkbench[scale]'")
    monkeypatch.setenv(slurm_executor.CLUSTER, "debug")
    monkeypatch.setenv("BENCH_SLURM", text)
    with pytest.raises(UsageError, match="BENCH_SLURM"):
        slurm_executor.require()


def test_the_verb_takes_an_executor(toy_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'talkbench[scale]'")
    monkeypatch.setenv(slurm_executor.CLUSTER, "local")
    arguments = ("--methods", "mean-frame", "--subjects", toy_folder, "--out", tmp_path / "run", *FAST)
    (cell,) = bench_json("run", *arguments, "--executor", "slurm")["cells"]
    assert cell["status"] == "ok"
    monkeypatch.delenv(slurm_executor.CLUSTER)
    monkeypatch.setattr(slurm_executor.shutil, "which", lambda name: None)
    result = bench("run", *arguments, "--executor", "slurm")
    assert result.exit_code == 1
    assert "login node" in result.stderr


@pytest.mark.parametrize(
    ("nodes", "threads", "gpus", "words"),
    [
        ([(2, 0, True), (8, 0, True)], 8, 0, ""),
        ([(2, 0, True), (8, 0, False)], 8, 0, "a cell needs (the largest has 2 CPUs): use fewer --threads"),
        ([(8, 0, True), (1, 1, True)], 4, 1, "4 CPUs and a GPU"),
        ([], 1, 0, "the largest has 0 CPUs"),
    ],
)
def test_a_cluster_too_small_for_any_cell_is_said_not_waited_for(nodes, threads, gpus, words):
    told = [{"Alive": alive, "Resources": {"CPU": cpus, "GPU": cards}} for cpus, cards, alive in nodes]
    if not words:
        ray_executor._check_room(told, threads, gpus)
        return
    with pytest.raises(UsageError) as caught:
        ray_executor._check_room(told, threads, gpus)
    assert words in str(caught.value)
