"""Reference methods give back the truth, but for the one thing that each does to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.contract import Conditioning
from bench.errors import MethodError
from bench.metrics.psnr import psnr
from bench.regions import mouth as mouth_box
from bench.subject import Subject
from methods.baselines.reference.codec import Codec
from methods.baselines.reference.copy_gt import CopyGt
from methods.baselines.reference.mouth import paste
from methods.baselines.reference.time_shift import SHIFT, TimeShift
from methods.baselines.reference.wrong_audio import WrongAudio


@pytest.fixture(scope="module")
def truth(toy_subject: Subject) -> list[Conditioning]:
    """What the methods see of the toy's test frames."""
    return [Conditioning(toy_subject.frame(i), toy_subject, frozenset({"ground_truth"})) for i in toy_subject.test_ids]


def rendered(method: Any, truth: Any, tmp_path: Any) -> np.ndarray:
    return np.stack(list(method.load(tmp_path, "cpu").render(truth)))


def frames(truth: Any) -> np.ndarray:
    return np.stack([item.ground_truth for item in truth])


@pytest.mark.parametrize("method", [CopyGt, Codec, TimeShift, WrongAudio])
def test_they_declare_what_they_are(method: Any, truth: list[Conditioning], tmp_path: Any) -> None:
    info = method.info
    assert (info.kind, info.sees, info.canvas, info.trains) == ("reference", {"ground_truth"}, "ground-truth", False)
    made = rendered(method(), truth, tmp_path)
    assert (made.dtype, made.shape) == (np.uint8, frames(truth).shape)
    assert np.array_equal(made, rendered(method(), truth, tmp_path))


def test_copy_gt_is_the_truth(truth: list[Conditioning], tmp_path: Any) -> None:
    assert np.array_equal(rendered(CopyGt(), truth, tmp_path), frames(truth))


def test_time_shift_is_late(truth: list[Conditioning], tmp_path: Any) -> None:
    made, gt = rendered(TimeShift(), truth, tmp_path), frames(truth)
    assert np.array_equal(made[SHIFT:], gt[:-SHIFT])
    assert np.array_equal(made[:SHIFT], np.stack([gt[0]] * SHIFT))


def test_codec_costs_little_in_every_frame_and_never_nothing(truth: list[Conditioning], tmp_path: Any) -> None:
    loss = psnr(rendered(Codec(), truth, tmp_path), frames(truth))
    assert loss.min() > 30
    assert loss.max() < 50


def test_codec_takes_odd_sizes(tmp_path: Any) -> None:
    """yuv420p has even ones only; the frames come back as large as they went in."""
    y, x = np.mgrid[0:33, 0:47]
    gt = np.stack([3 * x + y, 200 - 4 * y, 90 + x], -1).astype(np.uint8)
    made = rendered(Codec(), [SimpleNamespace(ground_truth=gt, size=(47, 33))] * 3, tmp_path)
    assert made.shape == (3, 33, 47, 3)
    assert psnr(made, np.stack([gt] * 3)).min() > 35


def test_wrong_audio_changes_the_mouth_alone(truth: list[Conditioning], toy_subject: Subject, tmp_path: Any) -> None:
    made, gt = rendered(WrongAudio(), truth, tmp_path), frames(truth)
    for index, number in enumerate(toy_subject.test_ids):
        near = mouth_box(toy_subject.frame(number))
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        near[rows[0] - 4 : rows[-1] + 5, columns[0] - 4 : columns[-1] + 5] = True  # the other mouth may be larger
        changed = (made[index] != gt[index]).any(-1)
        assert changed.any()
        assert not (changed & ~near).any()


def test_wrong_audio_takes_the_mouth_half_the_split_away(truth: list[Conditioning], tmp_path: Any) -> None:
    """One frame's mouth is painted green: it must turn up just there."""
    items = [SimpleNamespace(ground_truth=item.ground_truth.copy(), landmarks=item.landmarks) for item in truth]
    lips = items[1].landmarks[48:68].mean(0).astype(int)
    items[1].ground_truth[lips[1] - 2 : lips[1] + 3, lips[0] - 2 : lips[0] + 3] = (0, 255, 0)
    made = rendered(WrongAudio(), items, tmp_path).astype(int)
    green = (made[..., 1] - made[..., 0] > 150).reshape(len(items), -1).sum(1)
    assert np.flatnonzero(green).tolist() == [(1 + len(items) // 2) % len(items)]


def test_wrong_audio_needs_another_frame(truth: list[Conditioning], tmp_path: Any) -> None:
    with pytest.raises(MethodError, match="longer subject"):
        rendered(WrongAudio(), truth[:1], tmp_path)


def test_pasting_follows_the_head(truth: list[Conditioning]) -> None:
    """A frame's own mouth changes nothing, even if it comes from a copy that is shifted."""
    item = truth[2]
    assert np.array_equal(
        paste(item.ground_truth, item.landmarks, item.ground_truth, item.landmarks), item.ground_truth
    )
    shifted = np.roll(item.ground_truth, (3, -2), (0, 1))
    made = paste(item.ground_truth, item.landmarks, shifted, item.landmarks + np.float32([-2, 3]))
    assert np.abs(made.astype(int) - item.ground_truth).max() <= 1
