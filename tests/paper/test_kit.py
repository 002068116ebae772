"""The paper kit: its numbers are the report's, its figures chosen by rule, and no name in it can do anything but be read."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil

import pytest
import small_run
from click.testing import CliRunner

import bench
from bench.cli import main
from bench.errors import AbsentError, UsageError
from bench.names import file_names
from bench.paper import build
from bench.paper.compile import compile_pdf, engine
from bench.paper.tables import grids
from bench.paper.tex import escape, numbers, signature
from bench.records import load_plan, save
from bench.report.overview import Overview

HOSTILE = {
    "method": r"\input{x}$^_%#~&{\write18{id}}--<script>alert(1)</script>",
    "formula": '=HYPERLINK("http://x","y")',
    "unicode": "@Jörg ‘字’ 😀\u202e‮",
}


def _lines(kit, name):
    return list(csv.DictReader(io.StringIO((kit.folder / f"tables/{name}.csv").read_text(encoding="utf-8"))))


def _text(kit, name):
    return (kit.folder / name).read_text(encoding="utf-8")


@pytest.fixture
def tex():
    try:
        engine()
    except AbsentError as error:
        pytest.skip(str(error))


def test_it_holds_what_a_paper_needs(kit):
    tables = {
        f"tables/{name}.{form}"
        for name in ("results", "table-1", "table-2", "deltas")
        for form in ("tex", "csv", "json")
    }
    figures = {
        f"figures/{name}.pdf" for name in ("qualitative", "ablation", "quality-speed", "frames-toy", "frames-lou_b.c")
    }
    texts = {"main.tex", "preamble.tex", "protocol.tex", "references.bib", "figures/choices.json", "kit.json"}
    assert set(kit.files) == tables | figures | texts
    assert all((kit.folder / name).stat().st_size for name in kit.files)
    assert any(note.startswith("the mouth of lou_b.c in the qualitative figure: ") for note in kit.notes)


def test_numbers_are_those_of_the_report(kit, run):
    overview = Overview.of(run)
    means = {row.method: row.values for row in overview.summary.rows}
    rows = {(row["method"], row["measure"]): row for row in _lines(kit, "table-1")}
    for method in ("degstalk", "talkinggaussian"):
        for measure in ("psnr", "lmd", "ssim", "lpips", "fps"):
            assert float(rows[method, measure]["ours"]) == means[method][measure].value
    assert float(rows["degstalk", "psnr"]["paper"]) == 37.30
    text = _text(kit, "tables/table-1.tex")
    value = means["degstalk"]["psnr"]
    assert rf"\best{{\num{{37.30}}}} & \best{{\num{{{value.value:.2f}}}}}" in text
    assert rf"\spread{{$\pm$\num{{{(value.ci95[1] - value.ci95[0]) / 2:.2f}}}}}" in text
    assert r"\second{\num{33.73}}" in text
    assert r"PSNR\char124\allowbreak{}canvas:own\char124\allowbreak{}region:full" in text


def test_significance_is_marked_within_a_canvas(run):
    by_name = {grid.name: grid for grid in grids(Overview.of(run))}
    results = {row.title: row for row in by_name["results"].rows}
    place = [head.title for head in by_name["results"].heads].index("LMD↓ (px)")
    marks = {method: row.entries[place].mark for method, row in results.items()}
    assert marks["degstalk"] == "best"  # LMD is of lips that all draw: one ranking over all canvases
    assert marks["degstalk[-E]"] == "second"
    assert marks["copy-gt"] == marks["mean-frame"] == ""  # floors and ceilings are never ranked
    assert [row.title for row in by_name["results"].rows if row.new_group] == ["mean-frame"]
    deltas = {row.label: row.entries[0] for row in by_name["deltas"].rows}
    assert deltas["degstalk[-H]"].text.startswith("-3.0")
    assert deltas["degstalk[-H]"].mark == "best"


def test_csv_and_json_say_the_same(kit):
    values = json.loads(_text(kit, "tables/table-2.json"))
    ours = {(row["method"], key): value["value"] for row in values["rows"] for key, value in row["ours"].items()}
    rows = {(row["method"], row["measure"]): row["ours"] for row in _lines(kit, "table-2")}
    assert {key: float(text) for key, text in rows.items() if text} == {k: v for k, v in ours.items() if v is not None}
    deltas = json.loads(_text(kit, "tables/deltas.json"))["deltas"]
    assert {row["method"] for row in deltas} == {row["method"] for row in _lines(kit, "deltas")}


def test_everything_cited_is_in_the_bibliography_and_nothing_else(kit):
    entries = set(re.findall(r"^@\w+\{([\w-]+),", _text(kit, "references.bib"), re.M))
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", _text(kit, "protocol.tex")) for key in keys.split(",")}
    assert cited <= entries
    assert {
        "deng2025degstalk",
        "li2024talkinggaussian",
        "guo2021adnerf",
        "wang2004ssim",
        "zhang2018lpips",
        "chen2018lmd",
    } <= entries
    assert "lugaresi2019mediapipe" in cited
    assert not {"chung2016syncnet", "king2009dlib", "narvekar2011cpbd"} & entries  # not used


def test_the_paragraph_states_the_conditions(kit):
    text = " ".join(_text(kit, "protocol.tex").split())
    for part in (
        "trained on the training split of toy and lou\\_b.c (preset quick, seed 0)",
        r"40 frames of toy (64 $\times$ 64 pixels) and 40 frames of lou\_b.c", r"protocol \texttt{neutral:1} of talkbench 0.1.0",
        "degstalk~\\cite{deng2025degstalk} sees audio and pose of a test frame and draws over own:gt-hair (25\\,\\% copied)",
        "cpu Test CPU, gpu none", "Landmarks are found by mediapipe",
    ):  # fmt: skip
        assert part in text


def test_figures_embed_their_fonts(kit):
    for file in kit.folder.glob("figures/*.pdf"):
        data = file.read_bytes()
        assert b"/Type3" not in data
        assert (b"/FontFile2" in data) == (b"/Font " in data)


def test_the_verb_and_the_same_files_for_the_same_run(kit, run, tmp_path):
    done = CliRunner().invoke(
        main, ["paper", str(run), "--out", str(tmp_path / "kit"), "--json"], catch_exceptions=False
    )
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["files"] == [str(tmp_path / "kit" / name) for name in kit.files]
    assert tuple(found["missing"]) == kit.notes
    for name in kit.files:
        assert (tmp_path / "kit" / name).read_bytes() == (kit.folder / name).read_bytes(), name


def test_a_folder_with_other_things_is_left_alone(run, kit, tmp_path):
    (tmp_path / "mine.tex").write_text("mine")
    with pytest.raises(UsageError, match="not empty and no paper kit"):
        build(run, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.tex"]
    own = shutil.copytree(kit.folder, tmp_path / "kit")
    (own / "mine.tex").write_text("mine")
    build(run, own)
    assert (own / "mine.tex").read_text() == "mine"


def test_a_run_without_numbers_is_refused(run, tmp_path):
    save(tmp_path / "run/run.json", load_plan(run))
    with pytest.raises(UsageError, match="no cell with numbers yet"):
        build(tmp_path / "run", tmp_path / "kit")


def test_a_damaged_cell_costs_its_own_parts_only(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "run")
    (own / "cells/degstalk--lou_b.c--quick--s0/frames.parquet").write_bytes(b"PAR1")
    (own / "cells/talkinggaussian--toy--quick--s0/frames.mkv").unlink()
    kit = build(own, tmp_path / "kit")
    assert "curves of degstalk on lou_b.c: no per-frame values" in kit.notes
    assert any("frames of toy: " in note and "frames.mkv is missing" in note for note in kit.notes)
    assert any("frames of lou_b.c: " in note and "frames.parquet can't be read" in note for note in kit.notes)
    assert "figures/qualitative.pdf" not in kit.files
    assert {"figures/ablation.pdf", "figures/frames-lou_b.c.pdf"} <= set(kit.files)
    text = _text(kit, "main.tex")
    assert "What is not here" in text
    assert "qualitative}" not in text


def test_it_compiles(kit, tmp_path, tex):
    folder = shutil.copytree(kit.folder, tmp_path / "kit")
    pdf = compile_pdf(folder)
    assert pdf.read_bytes().startswith(b"%PDF")
    log = (folder / "main.log").read_text(encoding="utf-8", errors="replace")
    assert "undefined" not in log
    assert "Overfull" not in log
    assert "Float too large" not in log


def _hostile_run(folder, tmp_path):
    run = small_run.make(folder, {"degstalk": 0.0, "talkinggaussian": 1.0, "er-nerf": 2.0}, subjects=("ada",))
    plan = load_plan(run)
    cells = []
    for key, name in zip(plan.cells, HOSTILE.values(), strict=True):
        renamed = key.model_copy(
            update={"method": name.replace("/", "\\"), "subject": HOSTILE["formula"].replace("/", "|")}
        )
        (run / "cells" / key.name).rename(run / "cells" / renamed.name)
        small_run.change(run, renamed.name, cell=renamed, canvas=HOSTILE["method"], sees=[HOSTILE["method"]])
        cells.append(renamed)
    (run / "ground_truth/ada.mp4").rename(run / "ground_truth" / f"{cells[0].subject}.mp4")
    save(run / "run.json", plan.model_copy(update={"cells": cells}))
    return run


def test_hostile_names_are_only_read(tmp_path, tex):
    kit = build(_hostile_run(tmp_path / HOSTILE["method"].replace("/", "."), tmp_path), tmp_path / "kit")
    for name in kit.files:
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name), name
    for file in kit.folder.rglob("*.tex"):
        text = file.read_text(encoding="utf-8")
        assert r"\input{x" not in text
        assert r"{\write" not in text
        assert "\u202e" not in text
    for row in _lines(kit, "results"):
        assert not any(text.startswith(("=", "+", "@")) for text in row.values())
        assert row["subject"] in ("", "'" + HOSTILE["formula"].replace("/", "|"))
    compile_pdf(kit.folder)
    frame = bench.load(tmp_path / HOSTILE["method"].replace("/", "."))
    assert "<script>" not in frame._repr_html_()
    assert "&lt;script&gt;" in frame._repr_html_()


def test_escape_prints_what_it_is_given():
    assert escape("a_b 100% $x$ {y} #1 ~ ^") == r"a\_b 100\% \$x\$ \{y\} \#1 \textasciitilde{} \textasciicircum{}"
    assert escape("--methods a---b ''") == "-{}-methods a-{}-{}-b '{}'"
    assert escape("line\nbreak\x00\x1b") == "line break"
    assert escape("Ångström 字") == r"\r{A}ngstr\"{o}m [U+5B57]"
    assert escape("H(μ⊕z), ΔΑ ≥ λ") == r"H($\mu$$\oplus$z), $\Delta$[U+0391] $\geq$ $\lambda$"
    assert escape(escape("%")) == r"\%"
    assert numbers("38.93 of 5") == r"\num{38.93} of \num{5}"
    assert numbers("∞") == r"$\infty$"
    assert "}" not in signature("a|b:{}").replace(r"\{\}", "").removesuffix("}").replace("{}", "")


def test_file_names_are_harmless_and_distinct():
    names = ["../../etc/passwd", "..", "CON", "a b", "a-b", "A-B", "é", "x" * 300, "", "-rf", "a\x00b", ".git"]
    found = file_names(names)
    assert list(found) == names
    assert len({name.lower() for name in found.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name, re.A) and len(name) <= 84 for name in found.values())


def test_without_tex_the_remedy_is_told_before_the_work(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(main, ["paper", str(run), "--out", str(tmp_path / "kit"), "--pdf"])
    assert done.exit_code == 1
    assert "apt-get install --no-install-recommends texlive-latex-recommended texlive-science" in done.stderr
    assert not (tmp_path / "kit").exists()
