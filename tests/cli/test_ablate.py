"""``bench ablate`` from end to end, and Table I behind ``bench run``, on the toy subject with methods that train nothing."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli import main

pytestmark = pytest.mark.usefixtures("plugins")
FAST = ("--metrics", "psnr", "--no-references", "--jobs", "2")


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_an_ablation_runs_prints_and_stays(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "run"
    arguments = ("ablate", "t-varied", "--subjects", toy_folder, "--out", out, *FAST)
    monkeypatch.setenv("T_VARIED_FAILS", "88")
    first = bench(*arguments, "--json")
    assert first.exit_code == 1
    document = json.loads(first.stdout)
    assert [(cell["variant"], cell["status"]) for cell in document["cells"]] == [
        ("", "ok"),
        ("-E", "failed"),
        ("-H", "ok"),
    ]
    view = document["ablation"]
    assert [row["method"] for row in view["deltas"]] == ["t-varied[-E]", "t-varied[-H]"]
    without_e, without_h = (row["values"]["psnr"] for row in view["deltas"])
    assert without_e["value"] is None
    psnr = {cell["variant"]: cell["metrics"]["psnr"]["value"] for cell in document["cells"] if cell["metrics"]}
    assert without_h["value"] == pytest.approx(psnr["-H"] - psnr[""])
    assert (without_h["ci95"], without_h["p"]) == (None, None)  # six frames are too few, and it is said
    assert "no interval" in without_h["reason"]
    assert view["table"]["paper"] is None
    assert "own:bald, not own:test" in "\n".join(view["notes"])

    (gap,) = [gap for gap in view["table"]["missing"] if gap["command"]]
    assert gap["label"] == "t-varied[-E]"
    assert "shade 88 failed" in gap["reason"]
    monkeypatch.delenv("T_VARIED_FAILS")
    assert bench(*shlex.split(gap["command"])[1:], "--metrics", "psnr").exit_code == 0  # the command does fill it

    again = bench(*arguments)
    assert again.exit_code == 0
    for part in ("Ablation of t-varied", "w/o E", "t-varied[-H]", "no interval", "E: light; without: dusk", str(out)):
        assert part in again.stdout
    assert "paper" not in again.stdout.replace(str(out), "")  # no paper has this table
    text = (out / "report/ablation.md").read_text(encoding="utf-8")
    assert "t-varied\\[-E\\]" in text
    assert "(no interval)" in text
    assert 'id="ablation"' in (out / "report/index.html").read_text(encoding="utf-8")


def test_the_plan_has_the_full_method_and_the_rows(toy_folder: Path, tmp_path: Path):
    def planned(*arguments: str) -> list[str]:
        done = bench(
            "ablate",
            "t-varied",
            *arguments,
            "--subjects",
            toy_folder,
            "--out",
            tmp_path / "run",
            "--dry-run",
            "--json",
            *FAST,
        )
        return [cell["variant"] for cell in json.loads(done.stdout)["cells"]]

    assert planned() == ["", "-E", "-H"]
    assert planned("--rows", "-H,-H-E,paper") == ["", "-H", "-E-H", "paper"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("ablate", "t-well"), "method 't-well' declares no factors, so there is nothing to leave out"),
        (("ablate", "t-varid"), "unknown method 't-varid': did you mean 't-varied'"),
        (("ablate", "t-varied", "--rows", "-X"), "unknown factor of t-varied 'X'"),
        (("ablate", "t-varied", "--rows", "E"), "to leave a factor out, write [-E]"),
        (("ablate", "t-varied", "--rows", "paper"), "--rows paper leaves no factor out: name one or more, such as -E"),
        (("ablate", "t-varied[-E]"), "name the method alone, and its variants with --rows=-E"),
        (("ablate", "t-varied", "--preset", "quik"), "quik"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments: tuple[str, ...], line: str):
    result = bench(*arguments)
    assert result.exit_code == 2
    assert line in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.fixture
def named_as_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method called as one of Table I, which trains nothing."""
    place = tmp_path / "plugin"
    (place / "synctalk-0.dist-info").mkdir(parents=True)
    (place / "synctalk-0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: synctalk\nVersion: 0\n")
    (place / "synctalk-0.dist-info/entry_points.txt").write_text("[bench.methods]\nsynctalk = tb_test_synctalk:Named\n")
    (place / "tb_test_synctalk.py").write_text(
        "from dataclasses import replace\nfrom tb_test_methods import Well\n\n\n"
        "class Named(Well):\n    info = replace(Well.info, name='synctalk', kind='3DGS')\n"
    )
    from bench import registry

    monkeypatch.setenv("PYTHONPATH", f"{place}:{Path(__file__).parents[1] / 'plugins'}")
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    registry._entries.cache_clear()


@pytest.mark.usefixtures("named_as_the_papers")
def test_a_run_of_the_papers_methods_prints_table_1(toy_folder: Path, tmp_path: Path):
    arguments = ("run", "--methods", "t-well", "--subjects", toy_folder, "--out", tmp_path / "run", *FAST)
    assert json.loads(bench(*arguments, "--json").stdout)["table_1"] is None
    assert "Table I" not in bench(*arguments).stdout
    arguments = ("run", "--methods", "synctalk", *arguments[3:])
    found = json.loads(bench(*arguments, "--json").stdout)
    rows = {row["title"]: row for row in found["table_1"]["rows"]}
    psnr = found["cells"][0]["metrics"]["psnr"]["value"]
    assert (rows["SyncTalk"]["paper"]["psnr"], rows["SyncTalk"]["ours"]["psnr"]["value"]) == (33.73, psnr)
    text = bench(*arguments).stdout
    assert text.index("t-well") < text.index("Table I") < text.index("33.73") < text.index("report ")
    assert f"{psnr:.2f}" in text[text.index("Table I") :]
