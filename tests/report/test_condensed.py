"""A run of very many cells: means from the index alone, equal to those of the records; a page that says what it leaves out."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.records import load_record, save
from bench.report import build, overview
from bench.report.condensed import Condensed, condense
from bench.report.data import load
from bench.report.overview import Overview
from bench.report.rows import Row
from bench.report.summary import summarize
from bench.report.tables import to_csv, to_markdown, to_summary

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import many  # noqa: E402


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """60 cells of three methods and two subjects, the last 8 without a usable result: more than are shown one by one."""
    monkeypatch.setattr(overview, "MANY", 50)
    return many.make(tmp_path / "large", methods=3, subjects=2, seeds=10, wrong=8)


def _change(run: Path, name: str, **changes: object) -> None:
    path = run / "cells" / name / "record.json"
    save(path, load_record(path).model_copy(update=changes))


def _mean_like(one: Row, other: Row) -> None:
    """The same means, states and frames, for the same reasons; the condensed row has no interval, and no mark."""
    assert (one.method, one.status, one.counts) == (other.method, other.status, other.counts)
    assert one.values.keys() == other.values.keys()
    for key, value in one.values.items():
        expected = other.values[key]
        assert (key, value.state, value.n, value.reason) == (key, expected.state, expected.n, expected.reason)
        assert value.signature == expected.signature
        assert value.value == pytest.approx(expected.value)
        assert (value.ci95, value.mark) == (None, "")


def _same_means(run: Path) -> None:
    opened = load(run)
    condensed, whole = condense(opened), summarize(opened)
    assert condensed.columns == whole.columns
    for one, other in zip(condensed.rows, whole.rows, strict=True):
        _mean_like(one, other)


def test_means_are_those_of_the_records(large: Path) -> None:
    _same_means(large)


def test_cells_that_were_measured_otherwise(large: Path) -> None:
    """One seed's machine, one's missing measure, one's signature, one subject with fewer seeds: told as in the usual summary."""
    _change(large, "m0--s0--quick--s3", hardware={"cpu": "another"})
    metrics = load_record(large / "cells/m0--s1--quick--s0/record.json").metrics
    absent = metrics["lpips"].model_copy(
        update={"value": None, "state": "absent", "reason": "no weights", "signature": ""}
    )
    _change(large, "m0--s1--quick--s0", metrics=metrics | {"lpips": absent})
    other = metrics["lmd"].model_copy(update={"signature": metrics["lmd"].signature.replace("canvas:own", "canvas:gt")})
    _change(large, "m1--s1--quick--s0", metrics=metrics | {"lmd": other})
    shutil.rmtree(large / "cells/m1--s0--quick--s0")
    (large / "cells/m1--s0--quick--s1/record.json").write_text("{")
    same = metrics["psnr"].model_copy(update={"value": None, "state": "identical"})
    _change(large, "m2--s0--quick--s0", metrics=metrics | {"psnr": same})
    _same_means(large)


def test_a_run_in_every_state(fabricated: Path) -> None:
    """Labels with variants and markup, a corrupt record, one that is pending, floors that are identical with the truth."""
    _same_means(fabricated)


def test_a_subject_is_the_mean_of_its_seeds(large: Path) -> None:
    row = condense(load(large)).rows[0]
    values = [
        load_record(large / f"cells/m0--s1--quick--s{seed}/record.json").metrics["psnr"].value for seed in range(10)
    ]
    assert [child.key.subject for child in row.children] == ["s0", "s1"]
    assert row.children[1].values["psnr"].value == pytest.approx(sum(values) / 10)
    assert [child.seeds for child in row.children] == ["10 seeds", "10 seeds"]
    assert [child.seeds for child in condense(load(large)).rows[2].children] == ["10 seeds", "2 of 10 seeds"]


def test_few_cells_are_shown_one_by_one(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(Overview.to_show(large), Condensed)
    monkeypatch.setattr(overview, "MANY", 60)
    assert not Overview.to_show(large).is_condensed


def test_no_record_is_read_but_one_of_a_kind(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    load(large)
    monkeypatch.setattr("bench.report.data.load_record", lambda path: read.append(path) or load_record(path))
    build(large)
    to_csv(Overview.to_show(large))
    kinds = {"ok", "invalid"}
    assert len(read) <= 2 * len(kinds)


def test_the_page_says_what_it_leaves_out(large: Path) -> None:
    (large / "report/media").mkdir(parents=True)
    text = build(large).read_text(encoding="utf-8")
    assert "This run has more than 1,000 cells" in text
    assert "out of memory" in text
    assert "LMD coverage 3/300" in text
    assert "../cells/m2--s1--quick--s2/log.txt" in text
    assert "2 of 10 seeds" in text
    assert not (large / "report/media").exists()
    assert len(text) < 400_000


def test_too_many_subjects_are_left_to_the_csv(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.report.condensed_page.SUBJECTS", 5)
    text = build(large).read_text(encoding="utf-8")
    assert "2 of 10 seeds" not in text
    assert "bench report RUN --table csv" in text


def test_tables(large: Path) -> None:
    shown = Overview.to_show(large)
    rows = list(csv.DictReader(io.StringIO(to_csv(shown))))
    assert [row["level"] for row in rows] == ["mean", "subject", "subject"] * 3
    assert [row["subject"] for row in rows[:3]] == ["", "s0", "s1"]
    assert len(to_markdown(shown).splitlines()) == 2 + 3
    assert [row["cells"] for row in to_summary(shown)] == [(20, 20), (20, 20), (12, 20)]


def test_the_verb(large: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(large), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["table_1"], document["ablations"]) == (None, [])
    result = CliRunner().invoke(main, ["report", str(large)])
    assert "mean of 2" in result.stdout
