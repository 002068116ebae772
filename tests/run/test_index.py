"""The index of a run's records: equal to them, brought up to date, never trusted."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from harness import bench, bench_json
from hypothesis import given, settings
from hypothesis import strategies as st

import bench as package
from bench.errors import BenchWarning, RecordError, UsageError
from bench.records import load_record, save
from bench.run import index, preflight
from bench.run.layout import RunFolder

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import many  # noqa: E402


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """12 cells: nine ok, one failed, one invalid, one without a record."""
    return many.make(tmp_path / "run", methods=2, subjects=2, seeds=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with an index, for tests that leave it as it was."""
    run = many.make(tmp_path_factory.mktemp("index") / "run", methods=2, subjects=2, seeds=3)
    index.refresh(run)
    return run


def _record(run: Path, name: str) -> Path:
    return run / "cells" / name / "record.json"


def _rows(run: Path) -> pd.DataFrame:
    """The table, from the records alone."""
    return pd.DataFrame([index.flat(record) for record in package.load(run).records])


def _same(table: pd.DataFrame, rows: pd.DataFrame) -> None:
    assert set(table) == set(rows)
    pd.testing.assert_frame_equal(table[list(rows)], rows, check_dtype=False)


def _read(run: Path) -> int:
    return index.refresh(run).read


def test_the_table_is_that_of_the_records(run: Path) -> None:
    table = package.load(run).table()
    assert len(table) == 11
    assert list(table.columns[:8]) == ["method", "variant", "backend", "subject", "preset", "seed", "status", "error"]
    assert list(table.columns[-4:]) == ["fps", "train_seconds", "peak_memory_bytes", "canvas"]
    _same(table, _rows(run))
    _same(package.load(run).table(), _rows(run))  # from the index on disk


def test_only_what_changed_is_read(run: Path) -> None:
    assert [_read(run) for _ in range(2)] == [11, 0]
    path = _record(run, "m0--s0--quick--s0")
    save(path, load_record(path).model_copy(update={"status": "invalid"}))
    shutil.rmtree(_record(run, "m0--s0--quick--s1").parent)
    many.finish(run, "m1--s1--quick--s2")
    assert [_read(run) for _ in range(2)] == [2, 0]
    table = package.load(run).table()
    assert (len(table), table.status[0]) == (11, "invalid")
    _same(table, _rows(run))


def test_a_record_written_again_within_a_tick_of_the_clock_is_read_again(run: Path) -> None:
    path = _record(run, "m0--s0--quick--s0")
    index.refresh(run)
    before = path.stat()
    text = path.read_text()
    other = text.replace('"seconds": 12.0', '"seconds": 21.0')
    assert (other != text, len(other)) == (True, len(text))
    path.with_name("new").write_text(other)
    os.utime(path.with_name("new"), ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(path.with_name("new"), path)
    assert _read(run) == 1


def test_it_grows_with_a_run_as_if_made_at_once(run: Path) -> None:
    hidden = [_record(run, f"m1--s{subject}--quick--s0") for subject in range(2)]
    for path in hidden:
        path.rename(path.with_name("later"))
    assert _read(run) == 9
    for path in hidden:
        path.with_name("later").rename(path)
    grown = index.refresh(run).table
    (run / index.NAME).unlink()
    anew = index.refresh(run).table
    assert grown.select(sorted(anew.column_names)).equals(anew.select(sorted(anew.column_names)))


@pytest.mark.parametrize("at", [0, 0.3, 0.6, 0.99])
def test_a_broken_index_is_made_anew_with_a_notice(run: Path, at: float) -> None:
    whole = index.refresh(run).table
    content = bytearray((run / index.NAME).read_bytes())
    place = int(at * len(content))
    content[place : place + 8] = bytes(255 - byte for byte in content[place : place + 8])
    (run / index.NAME).write_bytes(content)
    with pytest.warns(BenchWarning, match="made anew from the records"):
        found = index.refresh(run)
    assert found.read == 11
    assert found.table.equals(whole)
    assert _read(run) == 0


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_bytes_that_changed_change_no_number(data: st.DataObject, whole: Path) -> None:
    content = bytearray((whole / index.NAME).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.sampled_from([len(content), len(content), place]))
    (whole / index.NAME).write_bytes(content[:cut])
    expected = _rows(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BenchWarning)
        _same(package.load(whole).table(), expected)


def test_an_index_of_other_columns_is_made_anew(run: Path) -> None:
    index.refresh(run)
    table = pq.read_table(run / index.NAME)
    names = ["ssim" if name == "psnr" else "psnr" if name == "ssim" else name for name in table.column_names]
    renamed = table.rename_columns(names).replace_schema_metadata(table.schema.metadata)
    pq.write_table(renamed, run / index.NAME)
    with pytest.warns(BenchWarning, match="other columns"):
        assert _read(run) == 11


def test_one_of_another_version_is_made_anew_in_silence(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.refresh(run)
    monkeypatch.setattr(index, "_VERSION", b"0")
    assert [_read(run) for _ in range(2)] == [11, 0]


def test_a_folder_that_cant_be_written_is_read_all_the_same(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index.pq, "write_table", full)
    with pytest.warns(BenchWarning, match="can't be written"):
        assert len(index.refresh(run).table) == 11
    assert not (run / index.NAME).exists()


@pytest.mark.parametrize(
    "change",
    [{"peak_memory_bytes": 10**30}, {"cell": {"seed": 10**30}}, {"metrics": {"status": {"value": 3.0}}}],
    ids=["memory", "seed", "a measure named as a column"],
)
def test_numbers_that_no_column_holds(run: Path, change: dict[str, object]) -> None:
    path = _record(run, "m0--s0--quick--s0")
    content = json.loads(path.read_text())
    for name, value in change.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(content))
    found = index.refresh(run)
    assert len(found.entries) + len(found.problems) == 11
    assert found.entries.get("m0--s0--quick--s0") is None or found.entries["m0--s0--quick--s0"].status == "ok"


def test_a_record_that_cant_be_read_is_named_each_time(run: Path) -> None:
    _record(run, "m0--s0--quick--s0").write_text("{")
    for _ in range(2):
        found = index.refresh(run)
        assert "remove it and run again" in found.problems["m0--s0--quick--s0"]
        assert len(found.entries) == 10
    with pytest.raises(RecordError, match="m0--s0--quick--s0"):
        package.load(run).table()


def test_status_of_few_cells(run: Path) -> None:
    document = bench_json("status", run)
    assert document["counts"] == {"ok": 9, "invalid": 1, "failed": 1, "waiting": 1}
    assert [cell["state"] for cell in document["cells"]].count("ok") == 9
    lines = bench("status", run).stdout.splitlines()
    assert len(lines) == 14
    assert lines[-2] == "12 cells: 9 ok, 1 invalid, 1 failed, 1 waiting"
    (failed,) = bench_json("status", run, "--state", "failed")["cells"]
    assert failed["detail"] == "out of memory"
    assert bench("status", run, "--state", "failed").stdout.splitlines()[0].split()[:2] == [failed["cell"], "failed"]


def test_status_of_many_cells_lists_what_went_wrong(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli.status._LISTED", 5)
    lines = bench("status", run).stdout.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["failed", "invalid"]
    assert lines[2:] == [
        "12 cells: 9 ok, 1 invalid, 1 failed, 1 waiting",
        "10 are not listed: --state ok|invalid|failed|waiting lists them",
        "no run is at work here",
    ]


def test_a_state_that_does_not_exist(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = bench("status", run, "--state", "faild")
    assert result.exit_code == 2
    assert "did you mean 'failed'" in result.stderr


def test_the_index_is_not_packed(run: Path, tmp_path: Path) -> None:
    index.refresh(run)
    bench_json("export", run, tmp_path / "run.zip")
    bench_json("import", tmp_path / "run.zip", "--out", tmp_path / "there")
    assert not (tmp_path / "there" / index.NAME).exists()
    _same(package.load(tmp_path / "there").table(), _rows(run))


def test_a_run_folder_without_its_plan_is_still_one(run: Path) -> None:
    """A broken plan's message says to remove it, and that finished cells are kept."""
    index.refresh(run)
    keys = package.load(run).plan.cells
    (run / "run.json").unlink()
    (run / "ground_truth").mkdir()
    found = preflight._plan(RunFolder(run), keys, [], "cpu", preflight.Request([], []))
    assert found.cells == keys
    (run / "thesis.tex").touch()
    with pytest.raises(UsageError, match="not a run folder"):
        preflight._plan(RunFolder(run), keys, [], "cpu", preflight.Request([], []))
