"""A paper's tables beside a run: whose number is whose, what is missing, and what a factor is worth."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from statistics import fmean

import pytest
from click.testing import CliRunner
from make_run import HOSTILE, SUBJECTS
from rich.console import Console

from bench.cli import main
from bench.records import load_plan, load_record, save
from bench.report import build
from bench.report.markdown import code, escape
from bench.report.overview import Overview
from bench.report.paper_text import ablation_markdown, ablation_rich, ablation_values, to_markdown, to_rich, to_values
from bench.report.published import load_published, published_ablation

PAPER = {
    "AD-NeRF": (29.18, 0.0963, 2.888, 0.7670, 18, 0.16),
    "ER-NeRF": (32.06, 0.0354, 2.771, 0.9158, 2, 45),
    "SyncTalk": (33.73, 0.0292, 2.627, 0.9361, 2, 60),
    "TalkingGaussian": (32.39, 0.0369, 2.659, 0.9261, 0.5, 120),
    "DEGSTalk": (37.30, 0.0140, 2.349, 0.9664, 0.5, 114),
}
FIELDS = ("psnr", "lpips", "lmd", "ssim", "train_hours", "fps")


@pytest.fixture(scope="module")
def table_1(fabricated):
    return Overview.of(fabricated).table_1


@pytest.fixture(scope="module")
def table_2(ablation):
    (view,) = Overview.of(ablation).ablations
    return view


def _change(run, name, **changes):
    path = run / "cells" / name / "record.json"
    save(path, load_record(path).model_copy(update=changes))


def _text(parts, width=200):
    out = io.StringIO()
    for part in parts:
        Console(file=out, width=width).print(part)
    return out.getvalue()


def test_published_numbers_are_the_papers():
    table = load_published()
    assert {row.title: tuple(float(getattr(row, f)) for f in FIELDS) for row in table.row} == PAPER
    assert [row.title for row in table.row] == list(PAPER)  # in the paper's order
    rows = {row.variant: row for row in published_ablation("degstalk").row}
    assert list(rows) == ["-F", "-R", "-E", "-H", ""]
    assert [float(getattr(rows["-H"], f)) for f in FIELDS[:4]] == [33.89, 0.0301, 2.628, 0.9354]
    assert (str(rows["-F"].lpips), rows["-F"].fps) == ("0.150", None)  # as it is printed, and said to be doubtful
    assert ".0150 is likely meant" in rows["-F"].note
    assert published_ablation("talkinggaussian") is None


def test_ours_are_the_means_of_the_summary(table_1, fabricated):
    means = {row.method: row for row in Overview.of(fabricated).summary.rows}
    ours = {row["title"]: row["ours"] for row in to_values(table_1)["rows"]}
    for title, method in (("DEGSTalk", "degstalk"), ("ER-NeRF", "er-nerf"), ("TalkingGaussian", "talkinggaussian")):
        for key in ("psnr", "lmd", "ssim", "fps", "train"):
            assert ours[title][key]["value"] == means[method].values[key].value is not None
        assert tuple(ours[title]["psnr"]["ci95"]) == means[method].values["psnr"].ci95
    assert ours["AD-NeRF"]["psnr"]["value"] is None  # ad-nerf[torso]@official is another row than the paper's


def test_each_side_has_its_own_column_and_unit(table_1):
    head, _, *rows = [line for line in to_markdown(table_1).splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in head.strip("|").split("|")][2:] == [
        "PSNR↑ paper (dB)", "PSNR↑ ours (dB)", "LPIPS↓ paper", "LPIPS↓ ours", "LMD↓ paper (px)", "LMD↓ ours (px)", "SSIM↑ paper",
        "SSIM↑ ours", "train↓ paper (h)", "train↓ ours (s)", "FPS↑ paper", "FPS↑ ours",
    ]  # fmt: skip
    ours = next(row for row in rows if row.startswith("| DEGSTalk"))
    cells = [cell.strip() for cell in ours.strip("|").split("|")]
    assert (cells[2], cells[4], cells[5], cells[10], cells[12]) == ("37.30", "0.0140", "–", "0.5", "114")
    assert cells[3].startswith("35.")
    assert "±" in cells[3]
    assert not any("**" in row or "≈" in row for row in rows)  # nothing is ranked


def test_conditions_are_told(table_1):
    notes = "\n".join(table_1.notes)
    for part in (
        "ICASSP 2025, Table I;",
        "as an orientation",
        "mean over ada, bo&b",
        "preset quick",
        "cpu Test CPU <8 cores>",
    ):
        assert part in notes
    assert any(text.startswith("PSNR, ours: PSNR|canvas:own|") for text in table_1.signatures)


def test_what_is_missing_has_its_command(table_1, fabricated):
    gaps = {gap.label: gap for gap in table_1.gaps if gap.command or "installed" in gap.reason}
    assert "LMD coverage 12/50" in gaps["synctalk"].reason
    assert "is not a readable record" in gaps["synctalk"].reason
    words = shlex.split(gaps["synctalk"].command)
    assert words[:4] == ["bench", "run", "--methods", "synctalk"]
    assert words[words.index("--subjects") + 1] == "ada,bo&b"
    assert words[words.index("--out") + 1] == str(fabricated)
    absent = {gap.reason: gap.label for gap in table_1.gaps if not gap.command}
    assert absent["LPIPS: no weights: `bench weights fetch lpips`"] == "er-nerf, talkinggaussian, degstalk"


def test_a_run_without_the_papers_methods_has_no_table(own_run):
    plan = load_plan(own_run)
    keep = [key for key in plan.cells if key.method in ("mean-frame", "copy-gt")]
    for folder in (own_run / "cells").iterdir():
        if not folder.name.startswith(("mean-frame", "copy-gt")):
            shutil.rmtree(folder)
    save(own_run / "run.json", plan.model_copy(update={"cells": keep}))
    assert Overview.of(own_run).table_1 is None
    assert 'class="published"' not in build(own_run).read_text(encoding="utf-8")


def test_two_ways_of_measuring_are_two_columns(own_run):
    for subject in SUBJECTS:
        record = load_record(own_run / f"cells/er-nerf--{subject}--quick--s0/record.json")
        psnr = record.metrics["psnr"].model_copy(update={"signature": "PSNR|canvas:own|region:full|src:h264|v:1"})
        _change(own_run, f"er-nerf--{subject}--quick--s0", metrics=record.metrics | {"psnr": psnr})
    view = Overview.of(own_run).table_1
    head = to_markdown(view).splitlines()[2]
    assert "PSNR↑ ours (a) (dB)" in head
    assert "PSNR↑ ours (b) (dB)" in head
    assert sum("PSNR (" in text for text in view.signatures) == 2
    assert not any("PSNR" in gap.reason for gap in view.gaps)


def test_variants_are_rows_of_their_own(ablation):
    summary = Overview.of(ablation).summary
    assert [row.method for row in summary.rows] == ["degstalk", "degstalk[-E]", "degstalk[-H]", "degstalk[-R2]"]
    assert [row.counts for row in summary.rows] == [(2, 2)] * 4


def test_table_2_has_the_papers_rows_then_ours(table_2):
    assert [line.title for line in table_2.table.lines] == ["w/o F", "w/o R", "w/o E", "w/o H", "full", "w/o R2"]
    assert [bool(line.ours) for line in table_2.table.lines] == [False, False, True, True, True, True]
    assert table_2.table.title == "Table II"
    commands = {gap.label: shlex.split(gap.command) for gap in table_2.table.gaps if gap.command}
    assert set(commands) == {"degstalk[-F]", "degstalk[-R]"}
    assert commands["degstalk[-F]"][2:6] == ["--methods", "degstalk[-F]", "--subjects", "ada,bo&b"]


def test_deltas_are_paired_and_adjusted(table_2, ablation):
    rows = {row.label: row.deltas["psnr"] for row in table_2.rows}
    assert list(rows) == ["degstalk[-E]", "degstalk[-H]", "degstalk[-R2]"]
    names = [f"degstalk[-H]--{s}--quick--s0" for s in SUBJECTS], [f"degstalk--{s}--quick--s0" for s in SUBJECTS]
    without, full = (
        fmean(load_record(ablation / f"cells/{n}/record.json").metrics["psnr"].value for n in side) for side in names
    )
    assert rows["degstalk[-H]"].value == pytest.approx(without - full) == pytest.approx(-3.0)
    assert rows["degstalk[-E]"].value == 0
    assert not rows["degstalk[-E]"].is_significant
    low, high = rows["degstalk[-H]"].ci95
    assert low <= -3.0 <= high
    # Unpaired, 50 noisy frames would leave a wide interval; paired, the noise that both share cancels.
    assert high - low < 0.1
    assert rows["degstalk[-H]"].is_significant
    assert rows["degstalk[-R2]"].p < rows["degstalk[-R2]"].p_holm  # three rows were compared
    assert rows["degstalk[-H]"].cells == 2


def test_another_canvas_is_told(table_2):
    text = "\n".join(table_2.notes)
    assert "degstalk[-H] draws over another canvas than degstalk" in text
    assert "degstalk[-E] draws" not in text
    assert "E: learnable embedding" in text  # what the keys mean, as the method says it


def test_a_missing_cell_leaves_the_others_compared(own_ablation):
    _change(own_ablation, "degstalk[-H]--ada--quick--s0", status="failed", error="out of memory")
    (view,) = Overview.of(own_ablation).ablations
    row = next(row for row in view.rows if row.label == "degstalk[-H]")
    assert (row.deltas["psnr"].cells, row.deltas["psnr"].value) == (1, pytest.approx(-3.0))
    assert any("degstalk[-H]: compared on 1 of 2 cells only" in note for note in view.notes)
    gap = next(gap for gap in view.table.gaps if gap.label == "degstalk[-H]" and gap.command)
    assert gap.reason == "ada, seed 0: failed (out of memory)"
    assert "--subjects ada " in gap.command


def test_without_the_full_method_there_is_nothing_to_compare_with(own_ablation):
    for subject in SUBJECTS:
        _change(own_ablation, f"degstalk--{subject}--quick--s0", status="failed", error="no")
    (view,) = Overview.of(own_ablation).ablations
    assert all(delta.value is None for row in view.rows for delta in row.deltas.values())
    assert "degstalk has no such value" in ablation_markdown(view)


def test_every_form_of_it_says_the_same(table_2, ablation):
    assert json.loads(json.dumps(ablation_values(table_2), allow_nan=False))["method"] == "degstalk"
    page = build(ablation).read_text(encoding="utf-8")
    terminal = _text(ablation_rich(table_2, 200))
    for text in (ablation_markdown(table_2).replace("\\", ""), terminal, page):
        for part in ("degstalk[-R2]", "w/o F", "36.79", "0.150", "-3.00", "p 0.0", "–"):
            assert part in text
    assert (ablation / "report/ablation.md").read_text(encoding="utf-8") == ablation_markdown(table_2)
    (stored,) = json.loads((ablation / "report/ablation.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(ablation_values(table_2)))


def test_the_report_verb_shows_it(ablation):
    done = CliRunner().invoke(main, ["report", str(ablation)], catch_exceptions=False)
    assert "Table II" in done.stdout
    assert "row less degstalk" in done.stdout
    found = json.loads(CliRunner().invoke(main, ["report", str(ablation), "--json"]).stdout)
    assert [view["method"] for view in found["ablations"]] == ["degstalk"]
    assert found["table_1"]["title"] == "Table I"


def test_a_narrow_terminal_cuts_no_number(table_1):
    wide, narrow = _text(to_rich(table_1, 200)), _text(to_rich(table_1, 80), 80)
    for part in ("TalkingGaussian", "0.0963", "0.16", "35."):
        assert part in wide
        assert part in narrow
    assert "…" not in narrow


def test_hostile_text_stays_text(own_ablation):
    path = own_ablation / "cells/degstalk[-H]--ada--quick--s0/record.json"
    error = f"`{HOSTILE}` | **bold** [red]x[/red]\n# title"
    save(path, load_record(path).model_copy(update={"status": "failed", "error": error}))
    (view,) = Overview.of(own_ablation).ablations
    text = ablation_markdown(view)
    assert "<script>" not in text
    assert "\n# title" not in text
    assert len({line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ")}) <= 2
    assert "[red]x[/red]" in _text(ablation_rich(view, 200))
    assert "<script>alert" not in build(own_ablation).read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["a`b", "``x", "x`", "a\nb", "plain"])
def test_code_cannot_be_left(text):
    found = code(text)
    fence = found[: len(found) - len(found.lstrip("`"))]
    assert found.endswith(fence)
    assert fence not in found[len(fence) : -len(fence)]
    assert "\n" not in found


def test_escape_leaves_nothing_that_means_something():
    assert escape("a|b<c>\n[d] *e* `f`") == "a\\|b\\<c\\> \\[d\\] \\*e\\* \\`f\\`"
