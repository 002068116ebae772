"""Bad input is found before anything starts: one line, exit code 2, no folder made."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from harness import FAST, bench, bench_json
from PIL import Image

from bench import system


@pytest.fixture
def refused(toy_folder, tmp_path):
    """Run bench with these arguments over sensible ones; the line it refuses with."""

    def refuse(*arguments: object, code: int = 2, subject: Path = toy_folder) -> str:
        out = tmp_path / "out"
        result = bench("run", "--methods", "copy-gt", "--subjects", subject, "--out", out, *FAST, *arguments)
        assert result.exit_code == code
        assert result.stdout == ""
        assert not out.exists()
        (line,) = result.stderr.splitlines()
        return line

    return refuse


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--methods", "mean-fram"), "unknown method 'mean-fram': did you mean 'mean-frame'?"),
        (("--subjects", "tinny"), "unknown subject 'tinny': did you mean 'tiny'?"),
        (("--subjects", "./nowhere"), "no subject folder ./nowhere"),
        (("--metrics", "pnsr"), "unknown metric 'pnsr': did you mean 'psnr'?"),
        (("--detector", "mediapip"), "did you mean 'mediapipe'?"),
        (("--protocol", "neutrl"), "did you mean 'neutral'?"),
        (("--preset", "quik"), "'quik' is not one of 'quick', 'standard', 'paper'"),
        (("--seeds", "0,x"), "'0,x' is not a list of whole numbers"),
        (("--methods", ","), "--methods is empty"),
        (("--seeds", ","), "nothing to run"),
        (("--nonsense",), "No such option"),
    ],
)
def test_wrong_usage(refused, arguments, line):
    assert line in refused(*arguments)


def test_official_code_is_there_for_some_methods_only(refused):
    assert "unknown method 'copy-gt@official'" in refused("--methods", "copy-gt@official")


def test_cuda_without_a_gpu(refused, monkeypatch):
    monkeypatch.setattr(system, "gpu_name", lambda: None)
    assert "torch sees no CUDA GPU" in refused("--device", "cuda", code=1)


@pytest.mark.usefixtures("plugins")
def test_a_plugin_that_cannot_be_imported_is_told_before_its_cells_fail(toy_folder, tmp_path):
    arguments = ("--methods", "t-absent", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST, "--dry-run")
    (note,) = bench_json("run", *arguments)["notes"]
    assert "plugin 'tb_test_no_such_module:Nowhere' of method 't-absent' can't be imported" in note
    assert note.endswith("its cells will fail")


def test_broken_json(refused, own_toy):
    (own_toy / "transforms_val.json").write_text('{"focal_len": 170, "frames": [')
    assert f"{own_toy}/transforms_val.json is not valid JSON" in refused(subject=own_toy)


def test_json_without_frames(refused, own_toy):
    (own_toy / "transforms_train.json").write_text('{"focal_len": 170}')
    assert "transforms_train.json: lacks focal_len or frames[]" in refused(subject=own_toy)


@pytest.mark.parametrize("name", ["ori_imgs/19.jpg", "parsing/3.png"])
def test_a_picture_of_another_size(refused, own_toy, name):
    Image.open(own_toy / name).resize((32, 48)).save(own_toy / name)
    assert f"{own_toy / name} is 32×48, frames are 64×64" in refused(subject=own_toy)


def test_a_picture_that_is_none(refused, own_toy):
    (own_toy / "ori_imgs/19.jpg").write_bytes(b"not a picture")
    assert f"{own_toy / 'ori_imgs/19.jpg'} can't be read" in refused(subject=own_toy)


def test_a_missing_file_is_named_with_what_makes_it(refused, own_toy):
    (own_toy / "ori_imgs/20.lms").unlink()
    line = refused(subject=own_toy)
    assert f"{own_toy / 'ori_imgs/20.lms'} is missing" in line
    assert "bench data prepare" in line


def test_no_room(refused, monkeypatch):
    monkeypatch.setattr("bench.run.budget.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    assert "free some (`bench gc`) or use another --out" in refused()


def test_two_subjects_of_one_name(refused, toy_folder, own_toy):
    assert "are both called 'toy'" in refused("--subjects", f"{toy_folder},{own_toy}")


def test_an_out_that_is_something_else(toy_folder, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    result = bench("run", "--methods", "copy-gt", "--subjects", toy_folder, "--out", tmp_path, *FAST)
    assert result.exit_code == 2
    assert "is not a run folder" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_error_is_one_json_document_too(toy_folder):
    result = bench("run", "--methods", "nope", "--subjects", toy_folder, "--json")
    assert result.exit_code == 2
    assert "unknown method 'nope'" in json.loads(result.stdout)["error"]


def test_missing_weights_are_one_note_and_an_absent_metric(toy_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    arguments = ("--methods", "copy-gt", "--subjects", toy_folder, "--out", tmp_path / "r", "--metrics", "psnr,lpips")
    result = bench("run", *arguments, "--json")
    assert result.exit_code == 0
    assert result.stderr.count("LPIPS will be absent") == 1
    lpips = json.loads(result.stdout)["cells"][0]["metrics"]["lpips"]
    assert (lpips["value"], lpips["state"]) == (None, "absent")
    assert "bench weights fetch lpips-alex" in lpips["reason"]


def test_a_missing_detector_is_told_before_the_run(toy_folder, tmp_path):
    """The official scripts' detector, whose weights most machines can't get."""
    if importlib.util.find_spec("face_alignment"):
        pytest.skip("face-alignment is installed here")
    arguments = ("--protocol", "degstalk-paper", "--methods", "copy-gt", "--subjects", toy_folder, "--dry-run")
    (note,) = bench_json("run", *arguments, "--metrics", "psnr,lmd", "--out", tmp_path / "r")["notes"]
    assert note.startswith("LMD will be absent: landmark detector fan is not installed: pip install 'talkbench[fan]'")
    assert note.endswith("--detector mediapipe gives other numbers")
    assert not bench_json("run", *arguments, "--metrics", "psnr", "--out", tmp_path / "r")["notes"]
