"""Programs on the host: what they are given, what they must leave, how their numbers are branded. No engine is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from harness import FAST, bench, bench_json
from PIL import Image

from bench.containers.find import Found
from bench.containers.method import Program
from bench.containers.spec import read
from bench.contract import Conditioning, TrainTask
from bench.errors import MethodError
from bench.metrics.signature import Signature
from bench.subject import Subject

TOML = """\
name = "program"
title = "A program"
summary = "Copies what it sees."
kind = "reference"
licence = "Apache-2.0"
sees = [{sees}]
[command]
[presets.quick]
iters = 2
[[train]]
stage = "first"
run = "{python} {folder}/first.py {{out}} {{iters}}"
[[train]]
stage = "second"
run = "{python} {folder}/second.py {{data}} {{out}}"
steps = 'it (?P<done>\\d+) of (?P<total>\\d+)'
[render]
run = "{python} {folder}/render.py {{data}} {{checkpoint}} {{out}} {{ids}} {{seed}}"
output = "{output}"
{more}
"""
FIRST = "import sys; open(f'{sys.argv[1]}/first', 'a').write(sys.argv[2])"
SECOND = "print('it 1 of 2'); print('it 2 of 2')"
COPY = """
import shutil, sys
data, checkpoint, out, ids, seed = sys.argv[1:]
for k, number in enumerate(open(ids).read().split()):
    shutil.copy(f"{data}/ground_truth/{number}.png", f"{out}/ep7_{k + 1:04d}_rgb.png")
"""
VIDEO = """
import sys
from pathlib import Path
from bench import video
data, checkpoint, out, ids, seed = sys.argv[1:]
frames = (video.read_image(Path(data, "ground_truth", f"{number}.png")) for number in open(ids).read().split())
video.write_preview(Path(out, "out.mp4"), frames, 25)
"""
PICTURES = "{out}/*_{n:04d}_rgb.png"


class _Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.steps: list[int] = []

    def stage(self, name: str, total: int) -> None:
        self.stages.append((name, total))

    def step(self, done: int, scalars: object = None) -> None:
        self.steps.append(done)

    def image(self, name: str, picture: object) -> None:
        raise AssertionError


def _program(
    folder: Path, render: str = COPY, output: str = PICTURES, more: str = "", sees: str = '"ground_truth"'
) -> Program:
    (folder / "first.py").write_text(FIRST)
    (folder / "second.py").write_text(SECOND)
    (folder / "render.py").write_text(render)
    path = folder / "program.toml"
    path.write_text(TOML.format(python=sys.executable, folder=folder, output=output, more=more, sees=sees))
    return Program(Found(path, read(path)), "command")


def _task(subject: Subject, out: Path, told: _Told) -> TrainTask:
    out.mkdir(exist_ok=True)
    return TrainTask(subject.for_training(), out, "quick", 3, "cpu", told)


def _given(program: Program, subject: Subject, ids: list[int]) -> list[Conditioning]:
    return [Conditioning(subject.frame(number), subject, program.info.sees) for number in ids]


def test_a_finished_stage_is_not_run_again_and_a_failed_one_is(tmp_path: Path, toy_subject: Subject):
    program, out, told = _program(tmp_path), tmp_path / "checkpoint", _Told()
    (tmp_path / "second.py").write_text("raise SystemExit(5)")
    with pytest.raises(MethodError, match=r"stage 'second' ended with exit code 5; it printed nothing"):
        program.train(_task(toy_subject, out, told))
    (tmp_path / "second.py").write_text(SECOND)
    program.train(_task(toy_subject, out, told))
    assert (out / "first").read_text() == "2"  # once
    assert told.stages == [("first", 0), ("second", 0), ("second", 0), ("second", 2)]
    assert told.steps[-1] == 2
    program.train(_task(toy_subject, out, told))  # all is over
    assert len(told.stages) == 4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_training_is_shown_nothing_of_the_test_frames(tmp_path: Path, own_toy: Path):
    (own_toy / "truth.npz").write_bytes(b"secret")
    subject, seen = Subject(own_toy), tmp_path / "seen"
    program = _program(tmp_path)
    (tmp_path / "second.py").write_text(f"import shutil, sys; shutil.copytree(sys.argv[1], {str(seen)!r})")
    program.train(_task(subject, tmp_path / "checkpoint", _Told()))
    names = {path.relative_to(seen).as_posix() for path in seen.rglob("*") if path.is_file()}
    whole = {path.relative_to(own_toy).as_posix() for path in own_toy.rglob("*") if path.is_file()}
    hidden = {name for name in whole if Path(name).stem in map(str, subject.test_ids)}
    assert names == whole - hidden - {"transforms_val.json", "truth.npz"}
    assert hidden


def test_rendering_is_shown_just_what_it_sees(tmp_path: Path, toy_subject: Subject):
    seen = tmp_path / "seen"
    render = f"import shutil, sys; shutil.copytree(sys.argv[1], {str(seen)!r}); raise SystemExit(1)"
    program = _program(tmp_path, render, sees='"pose", "audio", "torso_canvas"')
    given = _given(program, toy_subject, toy_subject.test_ids)
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(MethodError):
        list(program.load(tmp_path / "checkpoint", "cpu").render(given))
    assert sorted(path.name for path in seen.iterdir()) == [
        "background.png",
        "conditioning.npz",
        "ids.txt",
        "torso_canvas",
    ]
    arrays = np.load(seen / "conditioning.npz", allow_pickle=False)
    assert sorted(arrays) == ["K", "audio", "ids", "viewmat"]
    assert np.array_equal(arrays["audio"], np.stack([item.audio for item in given]))
    assert np.array_equal(arrays["viewmat"][2], given[2].camera.viewmat)
    for item in given:
        picture = np.asarray(Image.open(seen / f"torso_canvas/{item.id}.png"))
        assert np.array_equal(picture, item.torso_canvas)


def test_some_frames_can_be_rendered_alone(tmp_path: Path, toy_subject: Subject):
    program, some = _program(tmp_path), toy_subject.test_ids[2:4]
    (tmp_path / "checkpoint").mkdir()
    frames = list(program.load(tmp_path / "checkpoint", "cpu").render(_given(program, toy_subject, some)))
    for number, frame in zip(some, frames, strict=True):
        assert np.array_equal(frame, toy_subject.frame(number).image)


def test_a_subject_that_lacks_what_the_program_reads_stops_the_run(
    tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    program = _program(tmp_path, more='[inputs]\nlayout = "er-nerf"')
    monkeypatch.setenv("BENCH_METHODS", str(program.found.path))
    arguments = ("--methods", "program@command", "--subjects", toy_folder, "--out", tmp_path / "run", *FAST)
    (plan,) = bench_json("run", *arguments, "--dry-run")["programs"]
    assert plan["lacking"][0].startswith("toy has no aud_ds.npy")
    result = bench("run", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: program@command: toy has no aud_ds.npy")
    assert not (tmp_path / "run").exists()


def test_lossy_files_must_be_declared(tmp_path: Path, toy_subject: Subject):
    program = _program(tmp_path, VIDEO, "{out}/out.mp4")
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(MethodError, match="rendering left h264 files, but its TOML doesn't say lossy = true"):
        list(program.load(tmp_path / "checkpoint", "cpu").render(_given(program, toy_subject, toy_subject.test_ids)))


def test_numbers_from_lossy_files_say_so(tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch):
    program = _program(tmp_path, VIDEO, "{out}/out.mp4", "lossy = true")
    monkeypatch.setenv("BENCH_METHODS", str(program.found.path))
    arguments = ("--methods", "program@command", "--subjects", toy_folder, "--out", tmp_path / "run")
    (cell,) = bench_json("run", *arguments, *FAST)["cells"]
    assert cell["status"] == "ok"
    assert {Signature.parse(metric["signature"]).get("src") for metric in cell["metrics"].values()} == {"h264/lossless"}
    bench_json("verify", tmp_path / "run")
