"""A run against a baseline: what is caught, what is let pass, and what is refused a verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import small_run
from click.testing import CliRunner
from PIL import Image

from bench.cli import main
from bench.errors import DataError, InvalidResultError, UsageError
from bench.records import MetricRecord, save
from bench.regression import Baseline, judge
from bench.regression.junit import to_junit
from bench.regression.summary import to_markdown, to_values
from bench.report.data import load

METHODS = {"degstalk": 0.0, "talkinggaussian": 2.0, "copy-gt": 0.0}
HOSTILE = "<script>alert(1)</script>|`x`\n# y"


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    return small_run.make(tmp_path_factory.mktemp("good") / "run", METHODS)


@pytest.fixture(scope="session")
def baseline(good) -> Baseline:
    return Baseline.of(load(good))


@pytest.fixture
def later(good, tmp_path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "later"))


@pytest.fixture
def file(baseline, tmp_path) -> Path:
    path = tmp_path / "baseline.json"
    path.write_text(baseline.text(), encoding="utf-8")
    return path


def _rows(outcome, verdict):
    return {(row.method, row.subject, row.measure) for row in outcome.rows if row.verdict == verdict}


def test_the_same_run_passes(good, baseline):
    outcome = judge(load(good), baseline)
    assert (outcome.verdict, outcome.exit_code, outcome.problems, outcome.lost) == ("ok", 0, (), ())
    assert {row.verdict for row in outcome.rows} == {"ok"}
    assert {row.measure for row in outcome.rows} == {"psnr", "psnr@face", "ssim", "lpips", "lmd"}
    assert ("degstalk", "mean", "psnr") in _rows(outcome, "ok")


@pytest.mark.parametrize("seed", range(20))
def test_reruns_pass_and_a_planted_regression_does_not(baseline, tmp_path, seed):
    """Twenty reruns, each with noise of its own and another bootstrap seed; then the same with 0.3 dB planted."""
    baseline = baseline.model_copy(update={"cells": [c for c in baseline.cells if c.cell.method == "degstalk"]})
    rerun = small_run.make(tmp_path / "rerun", {"degstalk": 0.0}, noise=seed + 1)
    assert judge(load(rerun), baseline, seed=seed).verdict == "ok"
    small_run.drop(rerun, "degstalk--ada--quick--s0", 0.3)
    outcome = judge(load(rerun), baseline, seed=seed)
    assert (outcome.verdict, outcome.exit_code) == ("regressed", 3)
    assert _rows(outcome, "regressed") == {("degstalk", "ada", "psnr")}  # half of it in the mean: within tolerance


def test_a_regression_everywhere_is_seen_in_the_mean(later, baseline):
    for subject in ("ada", "ben"):
        small_run.drop(later, f"talkinggaussian--{subject}--quick--s0", 0.3)
    outcome = judge(load(later), baseline)
    assert _rows(outcome, "regressed") == {("talkinggaussian", s, "psnr") for s in ("ada", "ben", "mean")}
    mean = next(row for row in outcome.rows if row.verdict == "regressed" and row.subject == "mean")
    assert mean.delta == pytest.approx(-0.3)
    assert mean.interval == pytest.approx((-0.3, -0.3))


def test_a_lower_measure_regresses_upwards(later, baseline):
    small_run.drop(later, "degstalk--ben--quick--s0", -0.06, "lmd")
    assert _rows(judge(load(later), baseline), "regressed") == {("degstalk", "ben", "lmd")}
    small_run.drop(later, "degstalk--ben--quick--s0", 0.12, "lmd")
    assert _rows(judge(load(later), baseline), "improved") == {("degstalk", "ben", "lmd")}


def test_beyond_the_tolerance_but_not_beyond_chance_is_unclear(later, baseline):
    path = later / "cells/degstalk--ada--quick--s0/frames.parquet"
    table = pd.read_parquet(path)
    table["psnr"] += np.where(np.arange(len(table)) % 2, 9.5, -10.0)  # -0.25 dB in the mean, ±10 from frame to frame
    table.to_parquet(path)
    outcome = judge(load(later), baseline)
    assert (outcome.verdict, _rows(outcome, "unclear")) == ("ok", {("degstalk", "ada", "psnr")})


def test_tolerances_are_stated_and_can_be_set(later, baseline):
    small_run.drop(later, "degstalk--ada--quick--s0", 0.3)
    outcome = judge(load(later), baseline, {"psnr": 0.5})
    assert (outcome.verdict, outcome.tolerances["psnr"]) == ("ok", 0.5)
    assert "PSNR 0.5, " in to_markdown(outcome)
    with pytest.raises(UsageError, match="did you mean 'psnr'"):
        judge(load(later), baseline, {"psnrr": 0.5})
    with pytest.raises(UsageError, match="from 0 on"):
        judge(load(later), baseline, {"psnr": -1.0})


def test_without_an_interval_the_tolerance_decides(good, baseline):
    cut = [c.model_copy(update={"measures": {k: m.model_copy(update={"frames": [float("nan")] * 36 + list(m.frames)[36:]})
                                             for k, m in c.measures.items()}}) for c in baseline.cells]  # fmt: skip
    outcome = judge(load(good), baseline.model_copy(update={"cells": cut}))
    row = next(row for row in outcome.rows if row.measure == "psnr" and row.method == "degstalk")
    assert row.interval is None
    assert "the tolerance alone decides" in row.reason


def test_identical_frames_that_no_longer_are_have_regressed(later, baseline):
    small_run.change(later, "copy-gt--ada--quick--s0", metrics=load(later).cells[0].record.metrics)
    path = later / "cells/copy-gt--ada--quick--s0/frames.parquet"
    table = pd.read_parquet(path)
    table.assign(psnr=60.0).to_parquet(path)
    assert ("copy-gt", "ada", "psnr") in _rows(judge(load(later), baseline), "regressed")


def _remove(run):
    shutil.rmtree(run / "cells/degstalk--ada--quick--s0")


def _fail(run):
    small_run.change(run, "degstalk--ada--quick--s0", status="failed", error="out of memory")


def _break(run):
    (run / "cells/degstalk--ada--quick--s0/record.json").write_text("{")


def _other_subject(run):
    small_run.change(run, "degstalk--ada--quick--s0", provenance={"subject": "sha256:9"})


def _other_canvas(run):
    small_run.change(run, "degstalk--ada--quick--s0", canvas="own:plate")


def _other_signature(run):
    metrics = load(run).cells[0].record.metrics
    psnr = metrics["psnr"].model_copy(update={"signature": metrics["psnr"].signature.replace("v:1", "v:2")})
    small_run.change(run, "degstalk--ada--quick--s0", metrics=metrics | {"psnr": psnr})


def _no_measure(run):
    metrics = load(run).cells[0].record.metrics
    absent = metrics["lpips"].model_copy(update={"state": "absent", "value": None})
    small_run.change(run, "degstalk--ada--quick--s0", metrics=metrics | {"lpips": absent})


def _none_scored(run):
    path = run / "cells/degstalk--ada--quick--s0/frames.parquet"
    pd.read_parquet(path).assign(lmd=np.nan).to_parquet(path)


def _other_frames(run):
    path = run / "cells/degstalk--ada--quick--s0/frames.parquet"
    pd.read_parquet(path).assign(id=range(40)).to_parquet(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_remove, "pending"), (_fail, "failed (out of memory)"), (_break, "not a readable record"),
        (_other_subject, "subject hash not the baseline's (sha256:1234 → sha256:9)"),
        (_other_canvas, "canvas not the baseline's"), (_other_signature, "psnr was measured in another way"),
        (_no_measure, "lpips is absent"),
        (_none_scored, "lmd: no frame is scored in both"), (_other_frames, "test frames not the baseline's"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_invalid(later, file, spoil, reason):
    spoil(later)
    done = CliRunner().invoke(main, ["check", str(later), "--baseline", str(file), "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["verdict"]) == (4, "invalid")
    assert all(problem.startswith("degstalk--ada--quick--s0: ") for problem in found["problems"])
    assert any(reason in problem for problem in found["problems"])
    assert not any((r["method"], r["subject"]) == ("degstalk", "ada") for r in found["rows"])


def test_a_cell_that_the_plan_no_longer_has_is_missing(later, baseline):
    plan = load(later).plan
    save(later / "run.json", plan.model_copy(update={"cells": plan.cells[1:]}))
    _remove(later)
    assert judge(load(later), baseline).problems == ("degstalk--ada--quick--s0: the run has no such cell",)


def test_new_cells_are_told(later, file, tmp_path):
    more = small_run.make(tmp_path / "more", METHODS | {"er-nerf": 1.0})
    outcome = judge(load(more), Baseline.load(file))
    assert outcome.verdict == "ok"
    assert any("er-nerf--ada--quick--s0" in note for note in outcome.notes)


def test_a_baseline_is_the_same_for_the_same_run_and_survives_the_file(good, baseline, file):
    assert Baseline.of(load(good)).text() == baseline.text()
    again = Baseline.load(file)
    for old, new in zip(baseline.cells, again.cells, strict=True):
        assert (old.cell, old.ids, old.subject_hash) == (new.cell, new.ids, new.subject_hash)
        for key, measured in old.measures.items():
            np.testing.assert_array_equal(measured.series, new.measures[key].series)
    assert np.isinf(again.cells[-1].measures["psnr"].series).all()
    json.loads(file.read_text(), parse_constant=lambda text: pytest.fail(f"{text} is not strict JSON"))


def test_a_run_with_a_failed_cell_is_no_baseline(later):
    _fail(later)
    with pytest.raises(InvalidResultError, match="out of memory"):
        Baseline.of(load(later))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": 2}'])
def test_another_file_is_no_baseline(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(DataError, match=r"is no baseline .* `bench baseline RUN > FILE`"):
        Baseline.load(tmp_path / "b.json")


def test_ragged_values_are_no_baseline(baseline, tmp_path):
    values = json.loads(baseline.text())
    values["cells"][0]["measures"]["psnr"]["frames"] = [[1.0, 2.0], [3.0]]
    (tmp_path / "b.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match="different numbers of quantities|is no baseline"):
        Baseline.load(tmp_path / "b.json")


def test_a_correlation_is_judged_by_its_own_statistic(later, tmp_path):
    jaw = MetricRecord(value=0.9, unit="1", signature="Jaw-r|region:full|v:1", n=(40, 40), regions={"full": 0.9})
    opening = np.abs(np.sin(np.arange(40) / 3))
    rng = np.random.default_rng(0)
    for name in ("degstalk--ada--quick--s0", "degstalk--ben--quick--s0"):
        record = next(cell.record for cell in load(later).cells if cell.key.name == name)
        small_run.change(later, name, metrics=record.metrics | {"jaw": jaw})
        path = later / "cells" / name / "frames.parquet"
        columns = {"jaw.jaw_pred": opening + rng.normal(0, 0.05, 40), "jaw.jaw_gt": opening}
        pd.read_parquet(path).assign(**columns).to_parquet(path)
    baseline = Baseline.of(load(later))
    assert judge(load(later), baseline, {"jaw": 0.1}).verdict == "ok"
    path = later / "cells/degstalk--ada--quick--s0/frames.parquet"
    pd.read_parquet(path).assign(**{"jaw.jaw_pred": rng.normal(0, 1, 40)}).to_parquet(path)
    assert ("degstalk", "ada", "jaw") in _rows(judge(load(later), baseline, {"jaw": 0.1}), "regressed")
    pd.read_parquet(path).assign(**{"jaw.jaw_pred": 1.0}).to_parquet(path)
    row = next(r for r in judge(load(later), baseline, {"jaw": 0.1}).rows if (r.measure, r.subject) == ("jaw", "ada"))
    assert (row.verdict, row.delta, row.reason) == ("unclear", None, "undefined on the frames that both have scored")


def test_the_verbs(later, tmp_path):
    done = CliRunner().invoke(main, ["baseline", str(later)], catch_exceptions=False)
    (tmp_path / "b.json").write_text(done.stdout)
    small_run.drop(later, "degstalk--ada--quick--s0", 0.3)
    summary, junit = tmp_path / "out/summary.md", tmp_path / "out/junit.xml"
    words = [
        "check",
        str(later),
        "--baseline",
        str(tmp_path / "b.json"),
        "--markdown",
        str(summary),
        "--junit",
        str(junit),
    ]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 3
    assert "Regressed: 1 regressed (" in done.stdout
    text = summary.read_text(encoding="utf-8")
    assert "| degstalk | ada | PSNR↑ (dB) | " in text
    assert "-0.30 | \\[-0.30, -0.30\\] | 0.2 | ❌ regressed |" in text
    picture = summary.parent / "summary-frames/degstalk-ada-quick-s0.png"
    assert "](summary-frames/degstalk-ada-quick-s0.png) |" in text
    assert Image.open(picture).size == (3 * 128, 128)
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    assert CliRunner().invoke(main, [*words, "--tolerance", "psnr=0.5"]).exit_code == 0
    assert CliRunner().invoke(main, [*words, "--tolerance", "psnr"]).exit_code == 2


def test_pictures_may_lie_elsewhere_or_be_gone(later, file, tmp_path):
    small_run.drop(later, "degstalk--ada--quick--s0", 0.3)
    words = ["check", str(later), "--baseline", str(file), "--markdown", str(tmp_path / "s.md")]
    CliRunner().invoke(main, [*words, "--pictures-url", "https://example.org/a/"])
    assert "](https://example.org/a/degstalk-ada-quick-s0.png)" in (tmp_path / "s.md").read_text(encoding="utf-8")
    (later / "cells/degstalk--ada--quick--s0/frames.mkv").unlink()
    assert CliRunner().invoke(main, words).exit_code == 3
    assert "- no pictures: " in (tmp_path / "s.md").read_text(encoding="utf-8")


def test_hostile_names_stay_text(tmp_path):
    run = small_run.make(tmp_path / "run", {"degstalk": 0.0}, subjects=("ada",))
    baseline = Baseline.of(load(run))
    cell = baseline.cells[0].model_copy(
        update={"cell": baseline.cells[0].cell.model_copy(update={"method": HOSTILE + "\x01"})}
    )
    outcome = judge(load(run), baseline.model_copy(update={"cells": [*baseline.cells, cell]}))
    assert outcome.exit_code == 4
    text = to_markdown(outcome)
    assert "<script>" not in text
    assert "\n# y" not in text
    root = ElementTree.fromstring(to_junit(outcome))
    assert root[0].get("errors") == "1"
    json.dumps(to_values(outcome), allow_nan=False)
