"""The summary: means, states, and what may be called best."""

from __future__ import annotations

import csv
import io
import json
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from make_run import HOSTILE

from bench import stats
from bench.cli import main
from bench.errors import RecordError
from bench.records import load_record, save
from bench.report.data import load
from bench.report.summary import summarize, summary_rows
from bench.report.tables import to_csv, to_markdown, to_rich, to_summary


@pytest.fixture
def rows(fabricated):
    return {row.method: row for row in summary_rows(fabricated)}


def _record(run, name):
    return run / "cells" / name / "record.json"


def _change(run, name, **changes):
    path = _record(run, name)
    save(path, load_record(path).model_copy(update=changes))


def _change_metric(run, name, metric, **changes):
    metrics = load_record(_record(run, name)).metrics
    _change(run, name, metrics=metrics | {metric: metrics[metric].model_copy(update=changes)})


def test_mean_is_that_of_the_records(rows, fabricated):
    records = [load_record(_record(fabricated, f"degstalk--{s}--quick--s0")) for s in ("ada", "bo&b")]
    assert rows["degstalk"].values["psnr"].value == pytest.approx(fmean(r.metrics["psnr"].value for r in records))
    assert rows["degstalk"].values["psnr"].n == (100, 100)
    assert rows["degstalk"].values["psnr@face"].value == pytest.approx(fmean((28.5, 28.6)))


def test_a_subject_with_more_seeds_weighs_no_more(own_run):
    plan = json.loads((own_run / "run.json").read_text())
    again = {"method": "er-nerf", "variant": "", "backend": "native", "subject": "ada", "preset": "quick", "seed": 1}
    (own_run / "run.json").write_text(json.dumps(plan | {"cells": [*plan["cells"], again]}))
    first = load_record(_record(own_run, "er-nerf--ada--quick--s0"))
    metrics = first.metrics | {"psnr": first.metrics["psnr"].model_copy(update={"value": 50.0})}
    cell = first.cell.model_copy(update={"seed": 1})
    save(_record(own_run, "er-nerf--ada--quick--s1"), first.model_copy(update={"cell": cell, "metrics": metrics}))
    other = load_record(_record(own_run, "er-nerf--bo&b--quick--s0")).metrics["psnr"].value
    row = next(row for row in summary_rows(own_run) if row.method == "er-nerf")
    assert row.values["psnr"].value == pytest.approx(fmean((fmean((first.metrics["psnr"].value, 50.0)), other)))


def test_states(rows):
    assert rows["copy-gt"].values["psnr"].state == "identical"
    assert rows["copy-gt"].values["psnr@face"].state == "identical"
    assert rows["degstalk"].values["lpips"].state == "absent"
    assert "bench weights fetch" in rows["degstalk"].values["lpips"].reason
    assert (rows[HOSTILE].status, rows[HOSTILE].values["psnr"].value) == ("failed", None)
    assert rows["synctalk"].status == "invalid"
    assert [child.status for child in rows["synctalk"].children] == ["invalid", "corrupt"]
    assert rows["ad-nerf[torso]@official"].status == "pending"


def test_an_invalid_cell_shows_its_other_measures_but_is_not_averaged(own_run):
    whole = summary_rows(own_run)
    _change(own_run, "er-nerf--ada--quick--s0", status="invalid", error="LMD coverage 3/50")
    row = next(row for row in summary_rows(own_run) if row.method == "er-nerf")
    before = next(row for row in whole if row.method == "er-nerf")
    assert row.children[0].has_numbers
    assert row.children[0].values["psnr"] == before.children[0].values["psnr"]
    assert row.values["psnr"].value == before.children[1].values["psnr"].value
    _change(own_run, "er-nerf--bo&b--quick--s0", status="invalid", error="LMD coverage 3/50")
    row = next(row for row in summary_rows(own_run) if row.method == "er-nerf")
    assert (row.has_numbers, row.values["psnr"].value, row.values["psnr"].state) == (False, None, "invalid")


def test_floors_and_ceilings_come_last_and_are_never_best(rows):
    assert [row.is_reference for row in rows.values()] == sorted(row.is_reference for row in rows.values())
    assert not any(value.mark for row in rows.values() if row.is_reference for value in row.values.values())


def test_best_needs_a_rival_with_the_same_canvas(rows):
    assert not rows["degstalk"].values["psnr"].mark  # the highest, but alone on its canvas
    assert rows["talkinggaussian"].values["psnr"].mark == "best"
    assert not rows["er-nerf"].values["psnr"].mark
    assert rows["degstalk"].values["lmd"].mark == "best"  # the lowest: lips don't depend on the canvas
    assert not rows["talkinggaussian"].values["lmd"].mark


def test_what_chance_may_have_made_is_a_tie(own_run):
    """The same frames but for noise: neither is better, and neither is bold."""
    for subject in ("ada", "bo&b"):
        source = own_run / f"cells/talkinggaussian--{subject}--quick--s0/frames.parquet"
        frames = pd.read_parquet(source)
        frames["psnr"] += np.random.default_rng(len(subject)).normal(0, 0.2, len(frames))
        frames.to_parquet(own_run / f"cells/er-nerf--{subject}--quick--s0/frames.parquet")
    rows = {row.method: row for row in summary_rows(own_run)}
    assert [rows[name].values["psnr"].mark for name in ("talkinggaussian", "er-nerf")] == ["tie", "tie"]
    text = to_markdown(own_run)
    assert sum(" ≈ |" in line for line in text.splitlines() if "| mean |" in line) == 2


def _series(run, name):
    return pd.read_parquet(run / "cells" / name / "frames.parquet")["psnr"].to_numpy()


def test_the_mean_has_an_interval_that_is_narrower_than_its_cells(own_run):
    row = next(row for row in summary_rows(own_run) if row.method == "talkinggaussian")
    low, high = row.values["psnr"].ci95
    assert low < row.values["psnr"].value < high
    cells = [stats.interval(_series(own_run, f"talkinggaussian--{s}--quick--s0")) for s in ("ada", "bo&b")]
    assert high - low < max(np.ptp(cell) for cell in cells)


def test_a_region_that_every_method_draws_is_ranked_across_canvases(own_run):
    for method, psnr in (("degstalk", 30.0), ("talkinggaussian", 28.0), ("er-nerf", 27.0)):
        for subject in ("ada", "bo&b"):
            path = own_run / f"cells/{method}--{subject}--quick--s0/frames.parquet"
            frames = pd.read_parquet(path)
            frames["psnr_face"] = psnr + np.sin(np.arange(len(frames)))
            frames.to_parquet(path)
    rows = {row.method: row for row in summary_rows(own_run)}
    assert rows["degstalk"].values["psnr@face"].mark == "best"


def test_direction_is_the_metrics_own_even_if_a_record_errs(own_run):
    _change_metric(own_run, "er-nerf--ada--quick--s0", "lmd", higher_is_better=True)
    directions = {column.key: column.higher for column in summarize(load(own_run)).columns}
    assert (directions["psnr"], directions["ssim"], directions["lpips"], directions["lmd"]) == (
        True,
        True,
        False,
        False,
    )


def test_coverage_does_not_split_a_measure(rows, fabricated):
    shown = summarize(load(fabricated)).section("main")
    assert [column.key for column in shown][:5] == ["psnr", "ssim", "lpips", "lmd", "psnr@face"]
    assert rows["talkinggaussian"].coverage(shown) == "100/100, LMD 96"


def test_two_signatures_never_share_a_column(own_run):
    for subject in ("ada", "bo&b"):
        _change_metric(
            own_run, f"er-nerf--{subject}--quick--s0", "psnr", signature="PSNR|canvas:own|region:full|src:h264|v:1"
        )
    summary = summarize(load(own_run))
    keys = [column.key for column in summary.columns if column.key.startswith("psnr (")]
    assert keys == ["psnr (a)", "psnr (b)"]
    rows = {row.method: row for row in summary.rows}
    for row in rows.values():
        assert sum(row.values[key].value is not None for key in keys) <= 1
    assert rows["er-nerf"].values["psnr (b)"].value is not None
    reason = summary.splits[0]
    assert reason.startswith("not one column, because they were measured in different ways: PSNR (a): ")
    assert "src lossless" in reason
    assert "src h264" in reason


def test_cells_measured_differently_have_no_mean(own_run):
    signature = load_record(_record(own_run, "er-nerf--ada--quick--s0")).metrics["psnr"].signature
    other = signature.replace("canvas:own", "canvas:portrait")
    _change_metric(own_run, "er-nerf--ada--quick--s0", "psnr", signature=other)
    row = next(row for row in summary_rows(own_run) if row.method == "er-nerf")
    for key in ("psnr (a)", "psnr (b)"):
        assert row.values[key].value is None
        assert "measured in another way" in row.values[key].reason


def test_speeds_are_not_ranked(rows):
    """One measurement on one machine says nothing about chance."""
    assert not any(row.values[key].mark for row in rows.values() for key in ("fps", "train"))


def test_a_method_with_a_failed_cell_is_not_best(own_run):
    _change(own_run, "talkinggaussian--ada--quick--s0", status="failed", error="out of memory")
    row = next(row for row in summary_rows(own_run) if row.method == "talkinggaussian")
    assert row.counts == (1, 2)
    assert row.values["psnr"].value is not None
    assert not any(value.mark for value in row.values.values())


def test_partly_identical_has_no_finite_mean(own_run):
    _change_metric(own_run, "copy-gt--ada--quick--s0", "psnr", value=40.0, state="ok")
    row = next(row for row in summary_rows(own_run) if row.method == "copy-gt")
    assert row.values["psnr"].value is None
    assert "identical in 1 of 2" in row.values["psnr"].reason


def test_a_record_in_anothers_folder_is_refused(own_run):
    source = _record(own_run, "er-nerf--ada--quick--s0").read_text()
    _record(own_run, "degstalk--ada--quick--s0").write_text(source)
    row = next(row for row in summary_rows(own_run) if row.method == "degstalk")
    assert row.children[0].status == "corrupt"
    assert "is the record of er-nerf--ada" in row.children[0].error


def test_markdown(fabricated):
    text = to_markdown(fabricated)
    assert "∞ (identical)" in text
    assert "\\<script\\>" in text
    assert "<script>" not in text
    assert len({line.count(" | ") for line in text.splitlines()}) == 1


def test_csv_is_unrounded_and_complete(fabricated, rows):
    lines = list(csv.DictReader(io.StringIO(to_csv(fabricated))))
    mean = next(line for line in lines if line["level"] == "mean" and line["method"] == "er-nerf")
    assert float(mean["psnr"]) == rows["er-nerf"].values["psnr"].value
    assert mean["psnr_signature"].startswith("PSNR|canvas:")
    assert sum(line["level"] == "cell" for line in lines) == 14
    assert next(line for line in lines if line["method"] == "copy-gt")["psnr"] == "inf"


def test_summary_is_strict_json(fabricated):
    document = json.loads(json.dumps(to_summary(fabricated), allow_nan=False))
    assert next(row for row in document if row["method"] == "copy-gt")["values"]["psnr"]["state"] == "identical"


def test_terminal_table_shows_every_method(fabricated, rows):
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=140).print(to_rich(fabricated))
    assert all(method in out.getvalue() for method in rows)


def test_not_a_run(tmp_path):
    with pytest.raises(RecordError, match="is not a run folder"):
        summary_rows(tmp_path)


def test_the_verb_prints_the_table_and_writes_nothing(own_run):
    (own_run / "report/index.html").unlink(missing_ok=True)
    done = CliRunner().invoke(main, ["report", str(own_run), "--table", "md"], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout == to_markdown(own_run)
    assert "| mean |" in done.stdout
    assert not (own_run / "report/index.html").exists()
