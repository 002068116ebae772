"""A trained deformable method, driven with its own and with another sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_deformable import shortened, train

from bench import video
from bench.checkpoints import Opened
from bench.contract import Conditioning
from bench.drive import listen
from bench.drive.film import driven, rendered
from methods.baselines.talkinggaussian.plugin import TalkingGaussian

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*(standardised over the whole|test split has)")


@pytest.fixture(scope="module")
def opened(toy_subject, tmp_path_factory) -> Opened:
    """TalkingGaussian after a few steps; it sees of a frame all but what tells of the mouth."""
    out = tmp_path_factory.mktemp("trained") / "checkpoint"
    method = shortened(TalkingGaussian())
    train(method, toy_subject, out)
    return Opened(method, None, out, toy_subject, "mel")


@pytest.fixture(scope="module")
def own(opened) -> list[np.ndarray]:
    """The test frames, as ``bench run`` renders them."""
    subject, sees = opened.subject, opened.method.info.sees
    given = [Conditioning(subject.frame(i), subject, sees) for i in subject.test_ids]
    return list(rendered(opened, given, "cpu"))


def test_the_subject_s_own_sound_gives_the_very_frames_of_the_run(opened, own):
    speech = listen(opened.subject.sound, "mel", start=opened.subject.test_ids[0] / 25)
    np.testing.assert_array_equal(list(rendered(opened, driven(opened, speech, "test"), "cpu")), own)


def test_another_sound_moves_the_mouth_and_leaves_the_surroundings(opened, own, tmp_path: Path):
    samples = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    video.write_audio(tmp_path / "noise.wav", samples, 16000)
    other = list(rendered(opened, driven(opened, listen(tmp_path / "noise.wav", "mel"), "test"), "cpu"))
    assert len(other) == len(own) == 6
    for number, before, after in zip(opened.subject.test_ids, own, other, strict=True):
        lips, changed = opened.subject.frame(number).landmarks[48:], (before != after).any(2)
        (left, top), (right, bottom) = lips.min(0).astype(int), lips.max(0).astype(int)
        assert changed[top : bottom + 1, left : right + 1].any()
        assert not changed[:, :8].any()
