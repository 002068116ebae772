"""`bench data export` and `bench data import` as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from bench.cli import main
from bench.subject import Subject


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def test_export_and_import(own_toy, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    np.save(own_toy / "aud_ds.npy", np.zeros((22, 16, 29), np.float32))
    result = bench("data", "export", own_toy, "--format", "talkinggaussian", "--out", tmp_path / "tg", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["missing"] == []
    assert "torso_imgs/<id>.png" in document["files"]
    result = bench("data", "import", tmp_path / "tg", "--name", "again")
    assert result.exit_code == 0, result.stderr
    assert "TalkingGaussian's layout, 22 frames" in result.stderr
    assert result.stdout.strip() == str(tmp_path / "home/subjects/again")
    assert bench("data", "info", "again").exit_code == 0
    assert "is there already" in bench("data", "import", tmp_path / "tg", "--name", "again").stderr


def test_what_is_missing_is_one_line_and_partial_goes_on(own_toy, tmp_path):
    arguments = ("data", "export", own_toy, "--format", "synctalk", "--out", tmp_path / "st")
    result = bench(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: SyncTalk's folder of toy lacks bs.npy: the subject's coefficients are arkit, 4 wide"
    )
    assert result.stderr.count("\n") == 1
    result = bench(*arguments, "--partial")
    assert result.exit_code == 0
    assert "missing: bs.npy: " in result.stderr
    assert (tmp_path / "st/parsing/0_face.png").exists()


def test_an_import_can_be_completed_by_hand(own_toy, tmp_path):
    np.save(own_toy / "aud_ds.npy", np.zeros((22, 16, 29), np.float32))
    assert bench("data", "export", own_toy, "--format", "ad-nerf", "--out", tmp_path / "ad").exit_code == 0
    result = bench("data", "import", tmp_path / "ad", "--name", "x", "--out", tmp_path / "x", "--partial", "--json")
    assert [lack["files"] for lack in json.loads(result.stdout)["missing"] if lack["needed"]] == ["au.csv"]
    assert "au.csv is missing" in bench("data", "info", tmp_path / "x").stderr
    shutil.copyfile(own_toy / "au.csv", tmp_path / "x/au.csv")
    assert bench("data", "info", tmp_path / "x").exit_code == 0
    assert len(Subject(tmp_path / "x").ids) == 22


def test_wrong_words_are_refused(own_toy, tmp_path):
    assert bench("data", "export", own_toy, "--format", "er_nerf", "--out", tmp_path / "x").exit_code == 2
    assert (
        "did you mean 'er-nerf'"
        in bench("data", "export", own_toy, "--format", "er_nerf", "--out", tmp_path / "x").stderr
    )
    assert "letters, digits" in bench("data", "import", own_toy, "--name", "../x").stderr
    assert "no such folder" in bench("data", "import", tmp_path / "none", "--name", "x").stderr
