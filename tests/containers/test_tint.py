"""A container that keeps the contract: built, trained, rendered and scored beside a native method, in one table and one report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness import FAST, bench, bench_json

from bench import records, video
from bench.containers import image
from bench.containers.find import Found
from bench.containers.spec import read
from bench.subject import Subject

HERE = Path(__file__).parent / "tint"
TINT = "tint@docker--toy--quick--s0"


@pytest.fixture(scope="module")
def tint(engine: Any) -> Found:
    """The method, its image built."""
    found = Found(HERE / "method.toml", read(HERE / "method.toml"))
    said: list[str] = []
    name = image.build(engine, found, said.append)
    assert name == image.tag(found)
    assert engine.images.get(name).labels[image.BASE_LABEL].startswith("talkbench-test/busybox")
    assert said
    return found


@pytest.fixture(scope="module")
def run(tint: Found, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both; don't write into it."""
    out = tmp_path_factory.mktemp("tint") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_METHODS", str(HERE))
        document = bench_json("run", "--methods", "degstalk,tint@docker", "--subjects", toy_folder, "--out", out, *FAST)
    assert [cell["status"] for cell in document["cells"]] == ["ok", "ok"]
    return out


def test_native_and_container_stand_in_one_table_and_one_report(run: Path):
    table = bench("report", run, "--table", "md").stdout
    assert "degstalk" in table
    assert "tint@docker" in table
    page = (run / "report/index.html").read_text()
    assert "tint@docker" in page


def test_the_frames_are_the_tinted_truth(run: Path, toy_subject: Subject):
    frames = list(video.read_video(run / "cells" / TINT / "frames.mkv"))
    assert len(frames) == len(toy_subject.test_ids)
    for number, frame in zip(toy_subject.test_ids, frames, strict=True):
        truth = toy_subject.frame(number).image.astype(int)
        dark = truth < 0o340
        assert (frame[dark] == truth[dark]).all()
        assert (frame[~dark] == truth[~dark] - 0o40).all()


def test_the_record_says_what_ran_and_what_was_copied(run: Path, engine: Any, tint: Found):
    record = records.load_record(run / "cells" / TINT / "record.json")
    assert record.libraries["program"].startswith(image.tag(tint))
    assert record.copied_share is not None
    assert record.copied_share > 0.7
    assert set(record.train_seconds) >= {"learn", "total"}
    assert record.sees == ["audio", "ground_truth", "pose"]
    stages = (run / "cells" / TINT / "training.csv").read_text().splitlines()
    assert stages[-1].startswith("learn,3")
    assert "step 2/3" in (run / "cells" / TINT / "log.txt").read_text()


def test_nothing_is_left(run: Path, clean: Any):
    hidden = [path for path in (run / "cells").rglob(".*") if path.name != ".lock"]
    assert hidden == []


def test_a_published_checkpoint_is_rendered_without_training(
    run: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BENCH_METHODS", str(HERE))
    published = Path(shutil.copytree(run / "cells" / TINT / "checkpoint", tmp_path / "published"))
    (published / "done.json").unlink()
    arguments = ("--methods", "tint@docker", "--subjects", toy_folder, "--load", published, "--out", tmp_path / "run")
    (cell,) = bench_json("run", *arguments, *FAST)["cells"]
    assert cell["status"] == "ok"
    first = json.loads((run / "cells" / TINT / "record.json").read_text())
    again = json.loads((tmp_path / "run/cells" / TINT / "record.json").read_text())
    assert again["provenance"]["frames"] == first["provenance"]["frames"]
    assert again["provenance"]["loaded"]
    assert "step 1/3" not in (tmp_path / "run/cells" / TINT / "log.txt").read_text()


def test_an_image_that_is_not_built_yet_names_the_command(
    engine: Any, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = Path(shutil.copytree(HERE, tmp_path / "tint"))
    (other / "train").write_text("#!/bin/sh\necho other\n")
    monkeypatch.setenv("BENCH_METHODS", str(other))
    result = bench("run", "--methods", "tint@docker", "--subjects", toy_folder, "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 1
    assert "bench methods build tint@docker" in result.stderr
    assert not (tmp_path / "run").exists()
