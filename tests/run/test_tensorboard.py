"""``bench run --log tensorboard``: event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import builtins
import io
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from harness import FAST, bench, bench_json, start, wait_for
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench.records import CellKey
from bench.run import tensorboard
from bench.run.layout import CellFolder
from bench.run.progress import TrainingProgress

PICTURE = np.full((6, 9, 3), 200, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> CellFolder:
    return CellFolder(tmp_path / "cell")


class Session:
    """One process's training, up to its end or a kill."""

    def __init__(self, folder: CellFolder) -> None:
        resumed = folder.steps.exists()
        inner = TrainingProgress(folder, lambda event: None)
        self._context = tensorboard.beside(inner, folder, resumed)
        self.progress = self._context.__enter__()

    def work(self, steps: range, factor: float = 1.0) -> None:
        for done in steps:
            self.progress.step(done, {"loss": factor / done, "gaussians": 10 * done})

    def kill(self) -> None:
        """What was flushed is on disk, no more is written."""
        self.progress._writer.flush()

    def end(self) -> None:
        self._context.__exit__(None, None, None)


def read(folder: CellFolder, stage: str) -> EventAccumulator:
    found = EventAccumulator(str(folder.tensorboard / stage), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def scalars(folder: CellFolder, stage: str, tag: str = "loss") -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in read(folder, stage).Scalars(tag)]


def test_scalars_and_pictures_by_stage(folder):
    session = Session(folder)
    session.progress.stage("mouth", 3)
    session.work(range(1, 4))
    session.progress.image("mouth-000003", PICTURE)
    session.progress.stage("face", 2)
    session.work(range(1, 3), factor=5)
    session.end()
    assert {path.name for path in folder.tensorboard.iterdir()} == {"mouth", "face"}
    assert scalars(folder, "mouth") == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    assert scalars(folder, "mouth", "gaussians") == [(1, 10), (2, 20), (3, 30)]
    assert scalars(folder, "face") == [(1, 5), (2, 5 / 2)]
    (image,) = read(folder, "mouth").Images("mouth")
    assert (image.step, image.width, image.height) == (3, 9, 6)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.encoded_image_string))), PICTURE)
    assert (folder.pictures / "mouth-000003.jpg").exists()
    assert (
        len(folder.steps.read_text().splitlines()) == 1 + 4 + 2
    )  # setup, three and one more line to close mouth, face


def test_a_resumed_stage_neither_repeats_nor_goes_back(folder):
    first = Session(folder)
    first.progress.stage("face", 10)
    first.work(range(1, 8))
    first.progress.image("face-000007", PICTURE)
    first.kill()  # its last checkpoint is at 5
    second = Session(folder)
    second.progress.stage("face", 10)
    second.progress.step(5)
    second.work(range(6, 11), factor=2)
    second.end()
    assert scalars(folder, "face") == [(k, 1 / k) for k in range(1, 6)] + [(k, 2 / k) for k in range(6, 11)]
    assert read(folder, "face").Images("face") == []  # that of step 7 was of work that was lost


def test_a_finished_stage_stays_as_it_is_when_a_later_one_is_resumed(folder):
    first = Session(folder)
    first.progress.stage("mouth", 3)
    first.work(range(1, 4))
    first.progress.stage("face", 9)
    first.work(range(1, 3))
    first.kill()
    second = Session(folder)
    second.progress.stage("mouth", 3)
    second.progress.step(3)
    second.progress.stage("face", 9)
    second.work(range(1, 4), factor=2)  # killed before its first checkpoint, so it begins again
    second.end()
    assert scalars(folder, "mouth") == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    assert scalars(folder, "face") == [(1, 2), (2, 1), (3, 2 / 3)]


def test_a_step_told_twice_is_logged_once(folder):
    session = Session(folder)
    session.progress.stage("face", 3)
    session.work(range(1, 3))
    session.progress.step(2, {"loss": 99})
    session.end()
    assert scalars(folder, "face") == [(1, 1), (2, 1 / 2)]


def test_another_training_begins_with_nothing(folder):
    first = Session(folder)
    first.progress.stage("old", 3)
    first.work(range(1, 4))
    first.end()
    folder.steps.unlink()  # as after a finished training
    second = Session(folder)
    second.progress.stage("new", 1)
    second.work(range(1, 2))
    second.end()
    assert [path.name for path in folder.tensorboard.iterdir()] == ["new"]


def test_a_picture_before_the_first_step_belongs_to_it(folder):
    first = Session(folder)
    first.progress.stage("a/../b", 5)
    first.work(range(1, 4))
    first.kill()
    second = Session(folder)
    second.progress.stage("a/../b", 5)
    second.progress.image("begin", PICTURE)
    second.progress.step(3)
    second.progress.stage("still", 0)
    second.progress.image("only", PICTURE)
    second.end()
    assert {path.name for path in folder.tensorboard.iterdir()} == {"a____b", "still"}
    assert scalars(folder, "a____b") == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    assert [image.step for image in read(folder, "a____b").Images("begin")] == [3]
    assert len(read(folder, "still").Images("only")) == 1


KEY = CellKey(method="t-slow", subject="toy", preset="quick", seed=0)


@pytest.mark.usefixtures("plugins")
def test_a_run_that_is_killed_and_resumed_has_one_curve(toy_folder, tmp_path):
    arguments = ("run", "--methods", "t-slow", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    cell = CellFolder(tmp_path / "r/cells" / KEY.name)
    process = start(*arguments, "--log", "tensorboard", T_SLOW="0.1")
    wait_for(lambda: cell.steps.exists() and cell.steps.read_text().count("\n") > 25, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not cell.trained.exists()
    (earlier,) = (cell.tensorboard / "slow").iterdir()
    os.environ["T_SLOW"] = "0"
    try:
        bench_json(*arguments, "--log", "tensorboard")
    finally:
        del os.environ["T_SLOW"]
    assert earlier.exists()
    assert len(list((cell.tensorboard / "slow").iterdir())) == 2
    steps = [event.step for event in read(cell, "slow").Scalars("loss")]
    assert steps == sorted(set(steps))
    assert steps[-1] == 40
    assert set(range(1, 41)) - set(steps) <= set(range(5, 26))  # at most the kill's last second before the checkpoint


@pytest.mark.usefixtures("plugins")
def test_the_option_is_no_reason_to_do_a_cell_again(toy_folder, tmp_path):
    arguments = ("run", "--methods", "t-well", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    bench_json(*arguments)
    assert not list(tmp_path.rglob("tensorboard"))
    assert bench_json(*arguments, "--log", "tensorboard", "--dry-run")["cells"][0]["state"] == "done"
    told = "--log tensorboard: 1 of the finished cells were trained without it; --force trains them again"
    assert told in bench(*arguments, "--log", "tensorboard").stderr
    assert told not in bench(*arguments, "--log", "tensorboard", "--force").stderr
    assert len(list(tmp_path.rglob("tensorboard"))) == 1


def test_without_the_package_nothing_starts(toy_folder, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    out = tmp_path / "r"
    result = bench("run", "--methods", "copy-gt", "--subjects", toy_folder, "--out", out, *FAST, "--log", "tensorboard")
    assert result.exit_code == 1
    assert result.stderr.strip() == (
        "error: --log tensorboard needs the package tensorboard (No module named 'tensorboard'): "
        "pip install 'talkbench[tensorboard]'"
    )
    assert not out.exists()
