"""``bench explain``: the chain of a real cell, and what it says when a link doesn't hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from harness import FAST, bench, bench_json

from bench.errors import RecordError, UsageError
from bench.explain import explain

CELL = "mean-frame--toy--quick--s0"


@pytest.fixture(scope="module")
def finished(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cell; don't write into it."""
    base = tmp_path_factory.mktemp("explained")
    subject, out = Path(shutil.copytree(toy_folder, base / "toy")), base / "run"
    arguments = ("--methods", "mean-frame", "--subjects", subject, "--out", out, *FAST)
    assert bench("run", *arguments, "--jobs", 1, "--threads", 1).exit_code == 0
    return out / "cells" / CELL


@pytest.fixture
def cell(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(finished, tmp_path / CELL))


def _chain(cell: Path) -> dict[str, tuple[str, ...]]:
    return {link.step: link.lines for link in explain(cell)}


def test_every_link_is_there_and_says_what_was_done(finished: Path) -> None:
    chain = _chain(finished)
    steps = ["source", "prepared", "subject", "trained", "rendered", "audited", "scored", "psnr", "ssim"]
    assert list(chain) == steps
    record = json.loads((finished / "record.json").read_text())
    known = record["provenance"]
    assert known["subject"] in chain["subject"][2]
    assert "the files are the same now" in chain["subject"][2]
    assert chain["trained"][0] == "mean-frame, preset quick, seed 0, on cpu"
    assert known["checkpoint"] in chain["trained"][-1]
    assert known["frames"] in chain["rendered"][-1]
    assert chain["audited"][0].startswith("0.0%")
    assert f"{record['metrics']['psnr']['value']:.6g} dB" in chain["psnr"][0]
    assert "which is the value" in chain["psnr"][1]
    assert chain["psnr"][2] == record["metrics"]["psnr"]["signature"]


def test_a_changed_value_does_not_follow_from_its_frames(cell: Path) -> None:
    record = json.loads((cell / "record.json").read_text())
    record["metrics"]["psnr"]["value"] += 0.01
    (cell / "record.json").write_text(json.dumps(record))
    assert "WHICH IS NOT THE VALUE" in _chain(cell)["psnr"][1]


def test_a_subject_that_changed_or_went_is_named(cell: Path, own_toy: Path) -> None:
    job = json.loads((cell / "job.json").read_text())
    (cell / "job.json").write_text(json.dumps(job | {"subject_root": str(own_toy)}))
    (own_toy / "note.txt").write_text("new")
    assert "THE FILES ARE OTHERS NOW" in _chain(cell)["subject"][2]
    (cell / "job.json").write_text(json.dumps(job | {"subject_root": "/nowhere"}))
    assert _chain(cell)["subject"][0] == "toy: not on this machine"


def test_an_absent_number_has_its_reason(cell: Path) -> None:
    record = json.loads((cell / "record.json").read_text())
    record["metrics"]["ssim"] |= {"value": None, "state": "absent", "reason": "no network", "ci95": None}
    (cell / "record.json").write_text(json.dumps(record))
    assert _chain(cell)["ssim"][0] == "absent: no network"


def test_what_is_no_cell_or_broken(cell: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished cell"):
        explain(tmp_path)
    (cell / "record.json").write_text("{")
    with pytest.raises(RecordError, match="not a readable record"):
        explain(cell)


def test_the_verb(finished: Path) -> None:
    found = bench_json("explain", finished)
    assert [link["step"] for link in found["chain"]][:2] == ["source", "prepared"]
    text = bench("explain", finished).stdout
    assert "psnr" in text
    assert "which is the value" in text
