"""A site over several runs: whole, safe, and honest about which cell it shows."""

from __future__ import annotations

import json
import shutil
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from make_run import HOSTILE
from test_comparison import change
from test_report_page import Elements

from bench.cli.leaderboard import command
from bench.errors import RecordError, UsageError
from bench.records import load_record
from bench.report.leaderboard import build
from bench.report.merge import merge


@pytest.fixture(scope="module")
def site(fabricated, ablation, tmp_path_factory):
    return build([fabricated, ablation], tmp_path_factory.mktemp("site") / "board").parent


def test_every_link_leads_somewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 1 + 10 + 2  # ad-nerf has no record
    ids = {
        page: {a["id"] for _, a in Elements(page.read_text(encoding="utf-8")).elements if "id" in a} for page in pages
    }
    for page in pages:
        parsed = Elements(page.read_text(encoding="utf-8"))
        for _, attributes in parsed.elements:
            for link in (attributes.get(name) for name in ("href", "src")):
                if link:
                    file, _, anchor = link.partition("#")
                    target = (page.parent / unquote(file)).resolve() if file else page
                    assert target.exists(), f"{page.name}: {link}"
                    assert not anchor or anchor in ids[target], f"{page.name}: {link}"
        data = [text for attributes, text in parsed.scripts if attributes.get("id") == "data"]
        for track in (t for text in data for view in json.loads(text)["subjects"] for t in view["tracks"]):
            assert not track["video"] or (page.parent / unquote(track["video"])).stat().st_size > 0


def test_nothing_hostile_comes_alive(site):
    for page in site.rglob("*.html"):
        parsed = Elements(page.read_text(encoding="utf-8"))
        assert not [a for _, a in parsed.elements if any(name.startswith("on") for name in a)]
        assert len([a for tag, a in parsed.elements if tag == "script" and "type" not in a]) == 1
    assert HOSTILE in "".join(Elements((site / "index.html").read_text(encoding="utf-8")).text)


def test_methods_that_lack_a_subject_are_not_ranked(site):
    rows = {row["method"]: row for row in json.loads((site / "leaderboard.json").read_text(encoding="utf-8"))["rows"]}
    assert rows["synctalk"]["cells"] == [0, 2]
    assert rows["degstalk"]["cells"] == [2, 2]
    marks = {name: row["values"]["psnr"]["mark"] for name, row in rows.items()}
    assert marks["degstalk"] == marks["degstalk[-E]"] == "tie"  # fabricated alike
    assert marks["synctalk"] == marks["copy-gt"] == ""


def test_the_later_of_two_good_cells_counts(fabricated, own_run, tmp_path):
    name = "degstalk--ada--quick--s0"
    change(own_run / "cells" / name, lambda _: {"started": "2027-01-01T00:00:00Z"}, psnr=1.0)
    change(
        own_run / "cells" / "er-nerf--ada--quick--s0", lambda _: {"started": "2027-01-01T00:00:00Z", "status": "failed"}
    )
    merged = merge([own_run, fabricated], tmp_path / "board")
    assert merged.sources[name] == own_run
    assert merged.sources["er-nerf--ada--quick--s0"] == fabricated
    assert any(name in note and str(own_run) in note for note in merged.notes)


def test_subjects_of_one_name_but_other_folders_stay_apart(fabricated, own_run, tmp_path):
    for cell in own_run.glob("cells/*--ada--*"):
        if (cell / "frames.parquet").exists():
            change(cell, lambda r: {"provenance": r.provenance | {"subject": "99aa77bb"}})
    merged = merge([fabricated, own_run], tmp_path / "board")
    assert set(merged.run.subjects) == {"ada", "bo&b", "ada@99aa77"}
    assert merged.run.ground_truth("ada@99aa77") == own_run / "ground_truth" / "ada.mp4"
    assert build([fabricated, own_run], tmp_path / "board").exists()


def test_a_folder_that_is_not_ours_is_left_alone(fabricated, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="something other than a leaderboard"):
        build([fabricated], tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_runs_without_a_record_are_refused(own_run, tmp_path):
    shutil.rmtree(own_run / "cells")
    with pytest.raises(RecordError, match="no finished cell"):
        build([own_run], tmp_path / "board")


def test_the_verb_replaces_its_own_site(ablation, tmp_path):
    out = tmp_path / "board"
    for _ in range(2):
        result = CliRunner().invoke(command, [str(ablation), "--out", str(out), "--json"])
        assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["page"] == str(out / "index.html")
    record = load_record(ablation / "cells" / "degstalk--ada--quick--s0" / "record.json")
    assert record.cell.subject in (out / "subjects" / "ada.html").read_text(encoding="utf-8")
