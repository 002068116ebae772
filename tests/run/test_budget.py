"""What a run will take, from earlier records: nearest, scaled, said; unknown where nothing is known; refused where it can't fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from harness import FAST, bench, bench_json

from bench import records, system
from bench.records import CellKey, Plan, Record
from bench.run import budget as budgets
from bench.run.budget import Budget, Cost
from bench.run.estimate import Estimate, estimates
from bench.run.layout import Job, RunFolder
from bench.run.preflight import Request, prepare

pytestmark = pytest.mark.usefixtures("plugins")
GIB = 2**30


def _key(method: str, subject: str = "toy", seed: int = 0) -> CellKey:
    return CellKey(method=method, subject=subject, preset="quick", seed=seed)


def _past(run: Path, key: CellKey, **changes: object) -> Path:
    """A finished cell: 6 test frames of 64×64, 100 s of training, 50 of the rest, 1 GiB; 3000 bytes of files."""
    folder = RunFolder(run).cell(key)
    folder.checkpoint.mkdir(parents=True)
    folder.frames.write_bytes(bytes(2000))
    (folder.checkpoint / "model").write_bytes(bytes(1000))
    record = Record(
        cell=key, status="ok", frames=6, size=(64, 64), train_seconds={"total": 100.0}, seconds=150.0,
        peak_memory_bytes=GIB, provenance={"device": "cpu"}, hardware=system.hardware(), started="2026-01-01",
    )  # fmt: skip
    records.save(folder.record, record.model_copy(update=changes))
    records.save(RunFolder(run).plan, Plan(cells=[key]))
    return folder.record


@pytest.fixture
def job(toy_folder: Path, tmp_path: Path) -> Job:
    request = Request(
        ["t-float"], [str(toy_folder)], metrics=["psnr"], references=False, device="cpu", out=tmp_path / "new"
    )
    return prepare(request).jobs[0]


def test_without_a_record_nothing_is_known(job: Job):
    assert estimates([job]) == {job.cell: Estimate()}


def test_the_same_subject_is_taken_as_it_was(job: Job, tmp_path: Path):
    path = _past(tmp_path / "old", job.cell)
    found = estimates([job])[job.cell]
    assert (found.training, found.rest, found.seconds, found.memory, found.vram) == (100, 50, 150, GIB, 0)
    assert (found.record, found.ratio, found.machine, found.checkpoint) == (path, 1, "", 1000)
    assert found.disk == 3000 + path.stat().st_size


def test_another_subject_is_scaled_and_the_nearest_is_taken(job: Job, tmp_path: Path):
    _past(tmp_path / "far", _key("t-float", "far"), size=(512, 512), frames=600)
    near = _past(tmp_path / "near", _key("t-float", "near"), size=(128, 128), frames=12)
    found = estimates([job])[job.cell]
    assert (found.record, found.ratio) == (near, 1 / 8)
    assert (found.training, found.rest) == (25, 50 / 8)  # by pixels; by frames × pixels
    assert found.disk == 2000 // 8 + 1000 + near.stat().st_size
    assert found.memory == GIB


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed"},
        {"provenance": {"device": "cuda"}},
        {"provenance": {"device": "cpu", "loaded": "x"}},
        {"frames": 0},
    ],
)
def test_what_is_not_alike_is_no_measure(job: Job, tmp_path: Path, changes: dict[str, object]):
    _past(tmp_path / "old", job.cell, **changes)
    assert estimates([job])[job.cell] == Estimate()


def test_other_methods_variants_and_presets_are_no_measure(job: Job, tmp_path: Path):
    for n, change in enumerate(({"method": "t-float2"}, {"variant": "-E"}, {"preset": "paper"}, {"backend": "docker"})):
        _past(tmp_path / f"old{n}", job.cell.model_copy(update=change))
    assert estimates([job])[job.cell] == Estimate()


def test_this_machine_goes_before_a_nearer_subject(job: Job, tmp_path: Path):
    _past(tmp_path / "there", job.cell, hardware={"cpu": "a Cray"})
    assert estimates([job])[job.cell].machine == "a Cray"
    here = _past(tmp_path / "here", _key("t-float", "other"), size=(128, 64))
    assert (estimates([job])[job.cell].record, estimates([job])[job.cell].machine) == (here, "")


def test_a_cell_done_at_one_go_goes_before_one_that_was_resumed(job: Job, tmp_path: Path):
    _past(tmp_path / "resumed", job.cell, seconds=20.0, started="2026-02-02")
    assert estimates([job])[job.cell].rest == 20  # all that is known
    _past(tmp_path / "whole", job.cell)
    assert estimates([job])[job.cell].seconds == 150


def test_a_damaged_record_is_passed_over(job: Job, tmp_path: Path):
    _past(tmp_path / "old", job.cell).write_text("{")
    assert estimates([job])[job.cell] == Estimate()


def test_a_strange_neighbour_is_passed_over(job: Job, tmp_path: Path):
    records.save(tmp_path / "strange/run.json", Plan(cells=[job.cell]))
    (tmp_path / "strange/cells").write_text("no folder")
    (tmp_path / "stranger/run.json").mkdir(parents=True)
    assert estimates([job])[job.cell] == Estimate()


def _budget(job: Job, *seconds: float | None, parallel: int = 2, memory: int = GIB, vram: int = 0) -> Budget:
    known = [Estimate(training=s, rest=0.0, memory=memory, vram=vram, disk=0, checkpoint=0) for s in seconds]
    return Budget(tuple(Cost(job, "new", False, e) for e in known), parallel)


def test_the_wall_time_is_that_of_cells_side_by_side(job: Job):
    assert _budget(job, 10, 10, 10, 10).wall_seconds == 20
    assert _budget(job, 30, 10, 10, 10).wall_seconds == 30
    assert _budget(job, 10, 10, 10, parallel=1).wall_seconds == 30
    some = _budget(job, 10, None, 10)
    assert (some.wall_seconds, some.cell_seconds, some.unknown) == (10, 20, 1)
    assert _budget(job, 5, 5, 5, parallel=8).memory == 3 * GIB


def test_what_cannot_fit_is_refused_with_the_remedy(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "new"
    arguments = ("run", "--methods", "t-float", "--seeds", "0,1", "--subjects", toy_folder, "--out", out, *FAST)
    _past(tmp_path / "old", _key("t-float"))
    monkeypatch.setattr(system, "memory", lambda: int(1.5 * GIB))
    for dry in ((), ("--dry-run",)):
        result = bench(*arguments, "--jobs", 2, *dry)
        assert (result.exit_code, result.stdout, out.exists()) == (2, "", False)
        assert (
            "2 cells at once would take 2.0 GiB of memory, as earlier ones did, and there are 1.5: use --jobs 1"
            in result.stderr
        )
    assert bench_json(*arguments, "--dry-run")["estimate"]["at_once"] == 1  # where --jobs doesn't say, what fits
    monkeypatch.setattr(system, "memory", lambda: GIB // 2)
    assert "use a larger machine or a smaller preset" in bench(*arguments, "--dry-run").stderr


def test_no_room_for_what_earlier_cells_took(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = ("run", "--methods", "t-float", "--subjects", toy_folder, "--out", tmp_path / "new", "--dry-run", *FAST)
    _past(tmp_path / "old", _key("t-float"))
    room = bench_json(*arguments)["estimate"]["disk_bytes"]
    assert 3000 + 5 * 1000 < room < 20_000  # the files, and what training needs beside its last checkpoint
    monkeypatch.setattr("bench.run.budget.shutil.disk_usage", lambda path: type("Usage", (), {"free": room - 1}))
    assert "free some (`bench gc`) or use another --out" in bench(*arguments).stderr
    monkeypatch.setattr("bench.run.budget.shutil.disk_usage", lambda path: type("Usage", (), {"free": room}))
    assert bench(*arguments).exit_code == 0


def test_a_gpu_that_is_too_small(job: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(system, "gpu_memory", lambda: 3 * GIB)
    assert budgets._lack(_budget(job, 1, 1, vram=GIB)) == ""
    assert budgets._lack(_budget(job, 1, 1, vram=2 * GIB)).startswith("4.0 GiB of GPU memory, as earlier ones did")
    assert budgets._fitting(_budget(job, 1, 1, vram=2 * GIB)) == 1


def test_what_is_done_takes_nothing_and_two_protocols_train_once(toy_folder: Path, tmp_path: Path):
    _past(tmp_path / "old", _key("t-float"))
    one = Request(["t-float"], [str(toy_folder)], metrics=["psnr"], references=False, device="cpu")
    runs = [prepare(replace(one, protocol=name, out=tmp_path / name)) for name in ("neutral", "degstalk-paper")]
    first, second = budgets.budgets(runs, 1, force=False, reuse=True, local=True)
    assert (first.wall_seconds, second.wall_seconds) == (150, 50)
    alone = budgets.budgets(runs, 1, force=False, reuse=False, local=True)
    assert [one.wall_seconds for one in alone] == [150, 150]
    kept = Budget((replace(first.costs[0], kept=True),), 1)
    assert (kept.pending, kept.wall_seconds, kept.memory, kept.disk) == ([], 0, 0, 0)


def test_what_a_neighbour_has_done_is_taken_over(toy_folder: Path, tmp_path: Path):
    arguments = ("run", "--methods", "t-float", "--subjects", toy_folder, "--metrics", "psnr", "--no-references")
    bench_json(*arguments, "--out", tmp_path / "old")

    def planned(*more: object) -> dict[str, object]:
        (cell,) = bench_json(*arguments, "--out", tmp_path / "new", "--dry-run", *more)["cells"]
        return {key: cell[key] for key in ("state", "kept", "from")}

    old = str(tmp_path / "old")
    assert planned() == {"state": "new", "kept": True, "from": old}
    assert planned("--protocol", "degstalk-paper") == {"state": "new", "kept": False, "from": old}  # its checkpoint
    assert planned("--metrics", "psnr,ssim") == {"state": "new", "kept": False, "from": old}
    assert planned("--no-reuse") == planned("--force") == {"state": "new", "kept": False, "from": None}
    assert "taken over from old" in bench(*arguments, "--out", tmp_path / "new", "--dry-run").stdout


def test_the_plan_says_what_it_takes_and_from_where(toy_folder: Path, tmp_path: Path):
    arguments = (
        "run",
        "--methods",
        "t-float,t-well",
        "--subjects",
        toy_folder,
        "--out",
        tmp_path / "new",
        "--dry-run",
        *FAST,
    )
    _past(tmp_path / "old", _key("t-float", "other"), size=(128, 64))
    document = bench_json(*arguments, "--jobs", 2)
    known, unknown = (cell["estimate"] for cell in document["cells"])
    assert (known["seconds"], known["memory_bytes"], known["scaled_by"]) == (75, GIB, 0.5)
    assert unknown == dict.fromkeys(known) | {"scaled_by": 1}
    total = document["estimate"]
    assert (total["wall_seconds"], total["unknown_cells"], total["memory_bytes"]) == (75, 1, GIB)
    text = bench(*arguments, "--jobs", 2).stdout
    for part in (
        "75 s",
        "1.0 GiB",
        "old/t-float--other--quick--s0, scaled × 0.5",
        "unknown",
        "2 cells at once; 1 cells unknown",
    ):
        assert part in text
