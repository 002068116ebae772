"""``bench gc`` removes what nobody needs, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_run
from click.testing import CliRunner
from harness import bench, bench_json

from bench import locks
from bench.cli import main
from bench.run.layout import CellFolder

CELL = "m--toy--quick--s0"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with everything that may go, of 10 bytes each, and its proofs."""
    root = small_run.make(tmp_path / "run", {"m": 0.0}, ["toy"])
    cell = CellFolder(root / "cells" / CELL)
    cell.checkpoint.mkdir()
    for path in (cell.trained, cell.checkpoint / "model.safetensors", cell.log):
        path.write_text("kept")
    for name in GOES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
    (root / "cells/gone--toy--quick--s0/checkpoint").mkdir()
    (root / "cells/gone--toy--quick--s0/checkpoint/model").write_bytes(bytes(90))
    (root / ".locks").mkdir()
    (root / ".locks" / CELL).touch()
    (root / ".lock").touch()
    return root


GOES = {
    f"cells/{CELL}/.alive": "half written",
    f"cells/{CELL}/.frames.abcd_123.mkv": "half written",
    f"cells/{CELL}/checkpoint/.model.abcd1234.safetensors": "half written",
    f"cells/{CELL}/training.jsonl": "only for resuming a training that is over",
    f"cells/{CELL}/halvings.json": "only for resuming a training that is over",
    f"cells/{CELL}/checkpoint.changed/model": "put aside because it was changed; another was trained",
    f"cells/.{CELL}.abcd1234/frames.mkv": "half written",
    "cells/gone--toy--quick--s0/record.json": "not in the plan",
    ".run.abcd1234.json": "half written",
    "ground_truth/.toy.abcd1234.mp4": "half written",
}


def _files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_may_go_is_shown_with_its_size_and_nothing_is_touched(run: Path):
    before = _files(run)
    document = bench_json("gc", run, "--dry-run")
    assert document["removed"] is False
    found = {Path(row["path"]).relative_to(run).as_posix(): (row["bytes"], row["why"]) for row in document["leftovers"]}
    expected = {name: (10, why) for name, why in GOES.items()}
    for folder, file in ((f"cells/.{CELL}.abcd1234", "frames.mkv"), (f"cells/{CELL}/checkpoint.changed", "model")):
        expected[folder] = expected.pop(f"{folder}/{file}")
    del expected["cells/gone--toy--quick--s0/record.json"]
    assert found == expected | {"cells/gone--toy--quick--s0": (100, "not in the plan")}
    assert document["bytes"] == 190
    assert "190 B may go" in bench("gc", run, "--dry-run").stdout
    assert _files(run) == before


def test_it_goes_and_the_rest_stays(run: Path):
    before = _files(run)
    assert bench_json("gc", run, "--yes")["removed"] is True
    gone = {*GOES, "cells/gone--toy--quick--s0/checkpoint/model"}
    assert _files(run) == {name: data for name, data in before.items() if name not in gone}
    assert "nothing to remove" in bench("gc", run).stdout


def test_state_of_a_training_that_is_not_over_stays(run: Path):
    (run / "cells" / CELL / "checkpoint/done.json").unlink()
    bench("gc", run, "--yes")
    assert (run / "cells" / CELL / "training.jsonl").exists()
    assert (run / "cells" / CELL / "halvings.json").exists()


def test_it_asks(run: Path):
    before = _files(run)
    no = CliRunner().invoke(main, ["gc", str(run)], input="n\n")
    assert (no.exit_code, _files(run)) == (0, before)
    nobody = CliRunner().invoke(main, ["gc", str(run)], input="")
    assert (nobody.exit_code, _files(run)) == (2, before)
    assert "give --yes" in nobody.stderr
    yes = CliRunner().invoke(main, ["gc", str(run)], input="y\n")
    assert yes.exit_code == 0
    assert not (run / ".run.abcd1234.json").exists()


@pytest.mark.parametrize("lock", [".lock", f".locks/{CELL}"])
def test_a_run_at_work_is_refused(run: Path, lock: str):
    before = _files(run)
    with locks.hold(run / lock, 0):
        for option in ("--yes", "--dry-run"):
            result = bench("gc", run, option)
            assert result.exit_code == 2
            assert f"{run} is at work: wait until it is over, or `bench cancel {run}`" in result.stderr
    assert _files(run) == before


def test_links_are_not_followed(run: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / ".secret").write_text("mine")
    (run / "cells" / CELL / "linked").symlink_to(mine)
    (run / "cells" / CELL / ".linked").symlink_to(mine)
    (run / "cells/other").symlink_to(mine)
    bench("gc", run, "--yes")
    assert (mine / ".secret").read_text() == "mine"
    assert (run / "cells" / CELL / "linked").is_symlink()
    assert not (run / "cells" / CELL / ".linked").is_symlink()
    assert not (run / "cells/other").is_symlink()


def test_caches_go_when_asked_for(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    for name in ("cache/lpips/a", "cache/landmarks/b", "subjects/me/au.csv"):
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(5))
    bench("gc", run, "--yes")
    assert (tmp_path / "home/cache/lpips/a").exists()
    document = bench_json("gc", "--caches", "--yes")
    assert [row["bytes"] for row in document["leftovers"]] == [5, 5]
    assert [path.name for path in (tmp_path / "home/cache").iterdir()] == []
    assert (tmp_path / "home/subjects/me/au.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("gc",), "name a run folder, or --caches"),
        (("gc", "{run}", "--json"), "--json can't ask: add --yes or --dry-run"),
    ],
)
def test_wrong_usage(run: Path, arguments: tuple[str, ...], line: str):
    result = bench(*(word.format(run=run) for word in arguments))
    assert result.exit_code == 2
    assert line in result.stderr


def test_what_is_no_run_folder_is_refused_before_anything_goes(run: Path, tmp_path: Path):
    before = _files(run)
    (tmp_path / "thesis").mkdir()
    result = bench("gc", run, tmp_path / "thesis", "--yes")
    assert (result.exit_code, _files(run)) == (1, before)
    assert "is not a run folder" in result.stderr


def test_programs_of_a_dead_harness_are_told_and_go(run: Path, monkeypatch: pytest.MonkeyPatch):
    from bench.containers import orphans

    cleared: list[bool] = []
    monkeypatch.setattr(orphans, "count", lambda: 2)
    monkeypatch.setattr(orphans, "clear", lambda: cleared.append(True))
    assert bench_json("gc", run, "--dry-run")["orphans"] == 2
    assert not cleared
    assert json.loads(bench("gc", run, "--yes", "--json").stdout)["orphans"] == 2
    assert cleared == [True]
