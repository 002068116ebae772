"""Two runs compared: planted differences are found, and what can't be compared is named."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from click.testing import CliRunner
from make_run import HOSTILE, make_run
from test_report_page import Elements

from bench.cli.compare import command
from bench.errors import DataError
from bench.records import load_record, save
from bench.report.comparison import compare_runs
from bench.report.comparison_text import build, to_rich, to_values, verdict


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, and the same with 0.3 dB less for one method on both subjects; only for reading."""
    first = make_run(tmp_path_factory.mktemp("compare"))
    second = shutil.copytree(first, first.parent / "second")
    for cell in second.glob("cells/talkinggaussian--*"):
        change(cell, lambda record: {"provenance": record.provenance | {"frames": "other"}}, psnr=-0.3)
    return first, second


def change(cell, updates, psnr=0.0, drop=0):
    """Rewrite a cell: its record with ``updates(record)``, its frames with another PSNR and less of them."""
    record = load_record(cell / "record.json")
    table = pd.read_parquet(cell / "frames.parquet").iloc[drop:]
    table["psnr"] += psnr
    table.to_parquet(cell / "frames.parquet")
    metrics = record.metrics
    if metrics["psnr"].value is not None:
        metrics = metrics | {"psnr": metrics["psnr"].model_copy(update={"value": metrics["psnr"].value + psnr})}
    save(cell / "record.json", record.model_copy(update={"metrics": metrics, "frames": len(table)} | updates(record)))


def row(found, title):
    return next(row for row in found.rows if row.title == title)


@pytest.fixture(scope="module")
def found(runs):
    return compare_runs(*runs)


def test_a_planted_difference_is_found_and_nothing_else(found):
    psnr = found.columns[0]
    worse = {row.title: verdict(psnr, row.deltas["psnr"]) for row in found.rows}
    assert worse == {"degstalk": "", "talkinggaussian": "worse", "er-nerf": "", "mean-frame": "", "copy-gt": ""}
    delta = row(found, "talkinggaussian").deltas["psnr"]
    assert delta.value == pytest.approx(-0.3)
    assert delta.ci95 == pytest.approx((-0.3, -0.3))
    assert delta.cells == 2
    assert [child.deltas["psnr"].value for child in row(found, "talkinggaussian").children] == pytest.approx(
        [-0.3, -0.3]
    )
    assert row(found, "degstalk").deltas["psnr"].value == 0


def test_what_is_not_compared_is_named(found):
    notes = " ".join(found.notes)
    for status in ("failed in A and failed in B", "invalid in A and invalid in B", "corrupt in A", "pending in A"):
        assert status in notes
    assert "lpips" not in {column.key for column in found.columns}  # measured in neither
    copied = row(found, "copy-gt").deltas["psnr"]
    assert (copied.value, copied.reason) == (0, "all frames of both equal their ground truth")


def test_other_frames_subjects_signatures_and_machines(runs, tmp_path):
    other = shutil.copytree(runs[0], tmp_path / "other")
    change(other / "cells" / "degstalk--ada--quick--s0", lambda _: {}, drop=10)
    change(
        other / "cells" / "er-nerf--ada--quick--s0", lambda r: {"provenance": r.provenance | {"subject": "sha256:0"}}
    )
    change(other / "cells" / "mean-frame--ada--quick--s0", lambda _: {"hardware": {"cpu": "another"}})
    for cell in other.glob("cells/*"):
        if (cell / "frames.parquet").exists():
            change(cell, lambda r: {"metrics": r.metrics | {"ssim": _resigned(r.metrics["ssim"])}})
    (other / "cells" / "talkinggaussian--ada--quick--s0" / "frames.parquet").write_bytes(b"no parquet")
    found = compare_runs(runs[0], other)
    notes = " ".join(found.notes)
    assert "degstalk--ada--quick--s0: compared on 40 frames, of 50 in A and 40 in B" in notes
    assert "er-nerf--ada--quick--s0: not compared, since its subject's folder differs" in notes
    assert "talkinggaussian--ada--quick--s0/frames.parquet can't be read" in notes
    assert row(found, "talkinggaussian").deltas["psnr"].reason == "no per-frame values"
    assert "ssim full: not compared, since A measured SSIM|" in notes
    assert "ssim" not in {column.key for column in found.columns}
    cells = {child.title: child for child in row(found, "mean-frame").children}
    assert cells["ada, seed 0"].deltas["fps"].reason == "measured on different machines"
    assert cells["bo&b, seed 0"].deltas["fps"].value == 0


def _resigned(metric):
    return metric.model_copy(update={"signature": metric.signature.replace("quant:u8", "quant:none")})


def test_runs_without_a_common_cell_are_refused(runs, ablation):
    lone = shutil.copytree(ablation, runs[0].parent / "lone")
    for cell in lone.glob("cells/degstalk--*"):
        shutil.rmtree(cell)
    with pytest.raises(DataError, match="no cell in common"):
        compare_runs(runs[0], lone)


def test_every_form_holds(found, runs, tmp_path):
    parsed = Elements(build(found, tmp_path / "page.html").read_text(encoding="utf-8"))
    words = " ".join("".join(parsed.text).split())
    assert HOSTILE in words
    assert "-0.30" in words
    assert len([a for tag, a in parsed.elements if tag == "script"]) == 1
    values = json.loads(json.dumps(to_values(found), allow_nan=False))
    titles = [row["title"] for row in values["rows"]]
    assert values["rows"][titles.index("talkinggaussian")]["values"]["psnr"]["verdict"] == "worse"
    assert len(to_rich(found)) > 3


def test_the_verb_prints_one_document(runs):
    result = CliRunner().invoke(command, [*map(str, runs), "--json"])
    assert result.exit_code == 0, result.output
    page = json.loads(result.stdout)["page"]
    assert page == str(runs[1] / "report" / "compare" / "run.html")
