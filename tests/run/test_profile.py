"""``bench run --profile``, and which libraries computed, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import FAST, bench, bench_json, timeless

from bench.records import load_record
from bench.run import training

pytestmark = pytest.mark.usefixtures("plugins")


@pytest.fixture
def arguments(toy_folder, tmp_path):
    return ("run", "--methods", "t-parts", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)


def record_path(tmp_path: Path) -> Path:
    return tmp_path / "r/cells/t-parts--toy--quick--s0/record.json"


def test_a_record_has_the_time_of_each_part(arguments, tmp_path):
    bench_json(*arguments, "--profile")
    profile = load_record(record_path(tmp_path)).profile
    assert {stage: times.steps for stage, times in profile.items()} == {"coarse": 2, "fine": 3}
    for times in profile.values():
        assert list(times.milliseconds) == ["forward", "backward", "rasterise backward", "other"]
        assert times.milliseconds["forward"] >= 2
        assert times.milliseconds["rasterise backward"] >= 4
        assert times.milliseconds["backward"] >= 0
    assert "rasterise backward" in (tmp_path / "r/report/index.html").read_text()


def test_without_the_option_nothing_is_measured(arguments, tmp_path):
    bench_json(*arguments)
    assert load_record(record_path(tmp_path)).profile == {}
    assert "rasterise backward" not in (tmp_path / "r/report/index.html").read_text()


def test_only_a_gpu_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr("torch.cuda.synchronize", waited.append)
    assert training._synchroniser("cpu") is None
    training._synchroniser("cuda")()
    assert waited == ["cuda"]


def test_a_finished_cell_stays_finished_and_force_measures_it(arguments, tmp_path):
    bench_json(*arguments)
    before = record_path(tmp_path).stat().st_mtime_ns
    assert bench_json(*arguments, "--profile", "--dry-run")["cells"][0]["state"] == "done"
    result = bench(*arguments, "--profile")
    assert result.exit_code == 0
    assert record_path(tmp_path).stat().st_mtime_ns == before
    assert "--profile: 1 of the finished cells were trained without it; --force trains them again" in result.stderr
    result = bench(*arguments, "--profile", "--force")
    assert load_record(record_path(tmp_path)).profile
    assert "trained without it" not in result.stderr
    assert "trained without it" not in bench(*arguments, "--profile").stderr  # it has one now


def test_a_profile_outlives_a_kill_after_training(arguments, tmp_path):
    """The checkpoint's proof holds it; the option makes no other cell of it."""
    bench_json(*arguments, "--profile")
    whole = load_record(record_path(tmp_path)).profile
    record_path(tmp_path).unlink()
    bench_json(*arguments)
    assert load_record(record_path(tmp_path)).profile == whole


def test_a_checkpoint_that_an_older_version_proved_is_taken(arguments, tmp_path):
    bench_json(*arguments)
    whole = timeless(record_path(tmp_path))
    proof = record_path(tmp_path).parent / "checkpoint/done.json"
    older = json.loads(proof.read_text())
    del older["profile"]
    proof.write_text(json.dumps(older))
    record_path(tmp_path).unlink()
    bench_json(*arguments)
    assert timeless(record_path(tmp_path)) == whole


def test_a_broken_proof_is_said_and_its_checkpoint_put_aside(arguments, tmp_path):
    bench_json(*arguments)
    proof = record_path(tmp_path).parent / "checkpoint/done.json"
    proof.write_text('{"sha256": "x"}')
    record_path(tmp_path).unlink()
    bench_json(*arguments)
    log = (proof.parents[1] / "log.txt").read_text()
    assert f"{proof} can't be read (" in log
    assert "It was put aside as checkpoint.changed, and is trained again" in log
    assert (proof.parents[1] / "checkpoint.changed/done.json").read_text() == '{"sha256": "x"}'


def test_an_older_record_has_neither(arguments, tmp_path):
    bench_json(*arguments, "--profile")
    older = json.loads(record_path(tmp_path).read_text())
    del older["profile"], older["libraries"]
    record_path(tmp_path).write_text(json.dumps(older))
    record = load_record(record_path(tmp_path))
    assert (record.profile, record.libraries) == ({}, {})


def test_a_method_names_its_libraries(arguments, tmp_path):
    bench_json(*arguments)
    assert load_record(record_path(tmp_path)).libraries == {"painter": "numpy on cpu"}


def test_libraries_that_are_no_mapping_are_refused_before_training(toy_folder, tmp_path):
    arguments = ("run", "--methods", "t-mumbles,mean-frame", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    bad, good = bench_json(*arguments, code=1)["cells"]
    assert bad["error"] == "libraries() of t-mumbles gave ['numpy'], expected a mapping of text to text"
    assert not (Path(bad["record"]).parent / "checkpoint").exists()
    assert load_record(Path(good["record"])).libraries == {}  # mean-frame says nothing
