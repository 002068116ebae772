"""What landmarks and sound say of a prediction: distances, blinks, the mouth over time. Known answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import landmarks, sound, stats, video
from bench.errors import DataError
from bench.metrics import Batch, Metric, MetricResult, Settings, Undefined, aggregate
from bench.metrics.correlation import correlation
from bench.metrics.landmark_distance import EYELIDS, FACE, LMD, lmd, lmd_eyes, lmd_face
from bench.metrics.motion import BLINKING, JAW, eye_openness, mouth_opening
from bench.metrics.mouth_audio import METRIC as MOUTH_AUDIO
from bench.metrics.mouth_audio import loudness

DISTANCES = (LMD, FACE, EYELIDS)


def random_points(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(50, 200, (count, 68, 2)).astype(np.float32)


def of_points(
    metric: Metric, pred: np.ndarray, gt: np.ndarray, size: int = 8, heard: Path | None = None
) -> MetricResult:
    """The metric's result where the detector finds ``pred`` and ``gt`` [N, 68, 2], NaN for no face; in batches of ``size``."""
    sides = (pred, gt)

    def detect(frame: np.ndarray) -> np.ndarray | None:
        number, side, _ = frame[0, 0]
        found = sides[side][number]
        return None if np.isnan(found).any() else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landmarks, "get", lambda *_: SimpleNamespace(name="given", version="1", detect=detect))
        scorer = metric.open(Settings(sound=heard))
    numbers = np.arange(len(pred), dtype=np.uint8)[:, None, None]
    frames = [np.stack([numbers, np.full_like(numbers, side), 0 * numbers], -1) for side in (0, 1)]
    batches = [Batch(*(f[at : at + size] for f in frames)) for at in range(0, len(pred), size)]
    rows = [scorer.per_frame(batch)["full"] for batch in batches]
    return aggregate(metric, scorer, np.concatenate(rows), len(pred), 0.9)


# ---------------------------------------------------------------- distances


def test_a_moved_face_is_as_far_as_it_moved() -> None:
    gt = random_points(3)
    moved = gt + np.array([3.0, 4.0], np.float32)
    np.testing.assert_allclose(lmd_face(moved, gt), 5.0, rtol=1e-6)
    np.testing.assert_allclose(lmd_eyes(moved, gt), 0.0, atol=1e-5)
    np.testing.assert_allclose(lmd(moved, gt), 0.0, atol=1e-5)


def test_each_eye_has_its_own_centre() -> None:
    """One eye as a whole 10 px to the side costs nothing; one of its points 12 px up costs 11 of 12 once and 1 five times."""
    gt = random_points(2).astype(np.float64)
    pred = gt.copy()
    pred[:, 36:42, 0] += 10
    pred[1, 44, 1] -= 6
    np.testing.assert_allclose(lmd_eyes(pred, gt), [0.0, (5 + 5 * 1) / 12], atol=1e-12)
    pred[:, 48:] += 5  # the mouth is no eye
    np.testing.assert_allclose(lmd_eyes(pred, gt)[0], 0.0, atol=1e-12)


@pytest.mark.parametrize("metric", DISTANCES, ids=lambda m: m.name)
def test_distance_without_a_face(metric: Metric) -> None:
    pred, gt = random_points(10), random_points(10, seed=1)
    pred[3], gt[7] = np.nan, np.nan
    result = of_points(metric, pred, gt, size=4)
    assert np.flatnonzero(np.isnan(result.per_frame)).tolist() == [3, 7]
    assert (result.n, result.state) == ((8, 10), "invalid")
    with pytest.raises(DataError):
        lmd_face(pred[:, :5], gt[:, :5])


def test_signatures_say_which_points_and_about_what_they_are_centred() -> None:
    parts = []
    for metric in DISTANCES:
        signature = of_points(metric, random_points(4), random_points(4)).signature
        parts.append((signature.label, *(signature.get(key) for key in ("det", "pts", "center", "norm", "v"))))
    assert parts == [
        ("LMD", "given-1", "48-67", "mean", "px", "1"),
        ("LMD-face", "given-1", "0-67", "none", "px", "1"),
        ("LMD-eyes", "given-1", "36-41,42-47", "mean", "px", "1"),
    ]


# ---------------------------------------------------------------- correlations


def test_correlation_is_pearsons() -> None:
    series = np.random.default_rng(0).normal(size=(200, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]]) + [5.0, -2.0]
    expected = np.corrcoef(series.T)[0, 1]
    assert correlation()(series) == pytest.approx(expected, abs=1e-12)
    holes = series.copy()
    holes[::3, 0], holes[1::7, 1] = np.nan, np.nan
    rest = holes[~np.isnan(holes).any(axis=1)]
    assert correlation()(holes) == pytest.approx(np.corrcoef(rest.T)[0, 1], abs=1e-12)
    stacks = np.stack([series, holes, -series])
    assert correlation().of(stacks).tolist() == [correlation()(one) for one in stacks]
    low, high = stats.interval(series, correlation())
    assert -1 <= low < expected < high <= 1


def test_correlation_with_what_never_moves() -> None:
    """Undefined, also where rounding makes the constant differ in its last digit; 0 where x is measured with noise."""
    y = np.arange(30.0)
    x = np.full(30, 0.1) * (1 + 1e-16 * np.arange(30))
    for series in (np.stack([x, y], 1), np.stack([y, x], 1)):
        assert np.isnan(correlation()(series))
    assert correlation(noise=0.01)(np.stack([x, y], 1)) == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(correlation(noise=0.01)(np.stack([y, x], 1)))
    assert np.isnan(correlation()(np.full((5, 2), np.nan)))


def test_movement_within_the_noise_earns_no_correlation() -> None:
    y = np.sin(np.arange(100.0))
    for scale, expected in ((1.0, 0.9999), (0.01, 0.577)):  # sd 0.0071 against 0.01: 1 / sqrt(1 + 2)
        assert correlation(noise=0.01)(np.stack([scale * y, y], 1)) == pytest.approx(expected, abs=0.002)


def talking(count: int, seed: int = 0) -> np.ndarray:
    """Landmarks [N, 68, 2] of a face 100 px high that blinks twice and speaks: openings known."""
    rng = np.random.default_rng(seed)
    points = np.zeros((count, 68, 2))
    points[:, 27], points[:, 8] = (128, 80), (128, 180)
    gap = 5 + 4 * np.sin(np.arange(count) / 2) + rng.normal(0, 0.2, count)
    points[:, 62], points[:, 66] = (128, 150), np.stack([np.full(count, 128.0), 150 + gap], 1)
    lids = np.where(np.arange(count) % 20 < 3, 0.5, 3.0) + rng.normal(0, 0.02, count)
    for first, x in ((36, 100), (42, 150)):
        points[:, first], points[:, first + 3] = (x, 100), (x + 20, 100)
        for k, side in ((1, -1), (2, -1), (4, 1), (5, 1)):
            points[:, first + k] = np.stack([np.full(count, x + 10.0), 100 + side * lids], 1)
    return points.astype(np.float32)


def test_openings_do_not_depend_on_size_or_place() -> None:
    face = talking(40)
    angle = np.deg2rad(20)
    turned = 2.5 * face @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + 40
    for quantity in (eye_openness, mouth_opening):
        np.testing.assert_allclose(quantity(turned), quantity(face), rtol=1e-4, atol=1e-5)
    assert eye_openness(face)[10] == pytest.approx(0.3, abs=0.01)  # lids 6 px apart, corners 20
    assert mouth_opening(face).max() == pytest.approx(0.09, abs=0.01)


@pytest.mark.parametrize(
    ("metric", "points"), [(BLINKING, range(36, 48)), (JAW, (8, 27, 62, 66))], ids=["blink", "jaw"]
)
def test_frozen_parts_lose_their_correlation_only(metric: Metric, points: Sequence[int]) -> None:
    gt = talking(60)
    pred = gt + np.random.default_rng(2).normal(0, 0.05, gt.shape)
    assert of_points(metric, pred, gt).value > 0.95
    assert of_points(metric, gt, gt).value == pytest.approx(1.0)
    pred[:, points] = pred[12, points]
    frozen = of_points(metric, pred, gt)
    assert (frozen.value, frozen.state, frozen.reason) == (None, "undefined", metric.undefined)
    other = JAW if metric is BLINKING else BLINKING
    assert of_points(other, pred, gt).value > 0.95


def test_eyes_that_stay_open_have_no_blinks_to_compare() -> None:
    """What is left is noise, and noise may agree."""
    gt = talking(60)[5:19]
    result = of_points(BLINKING, gt, gt)
    assert (result.state, result.value) == ("undefined", None)
    assert "stay open" in result.reason
    assert of_points(BLINKING, *[talking(60)[5:24]] * 2).value == pytest.approx(1.0)


@pytest.mark.parametrize("metric", [BLINKING, JAW], ids=lambda m: m.name)
def test_correlations_leave_out_frames_without_a_face(metric: Metric) -> None:
    gt = talking(80)
    pred = gt + np.random.default_rng(3).normal(0, 0.1, gt.shape)
    pred[5], gt[30:33] = np.nan, np.nan
    whole, pieces = (of_points(metric, pred, gt, size=size) for size in (80, 7))
    assert np.array_equal(whole.per_frame, pieces.per_frame, equal_nan=True)
    assert whole.per_frame.shape == (80, len(metric.columns))
    kept = ~np.isnan(pred + gt).any(axis=(1, 2))
    assert (whole.n, whole.value) == ((76, 80), pytest.approx(of_points(metric, pred[kept], gt[kept]).value))


# ---------------------------------------------------------------- sound


def wav(path: Path, samples: np.ndarray) -> Path:
    video.write_audio(path, samples.astype(np.float32), 16000)
    return path


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001])
def test_loudness_is_of_the_frames_own_time(fps: float) -> None:
    samples = np.zeros(32000)
    begin, end = (round(k / fps * 16000) for k in (20, 21))
    samples[begin:end] = np.random.default_rng(0).uniform(-0.5, 0.5, end - begin)
    level = loudness(samples, fps)
    assert len(level) == round(2 * fps)
    assert np.flatnonzero(level > -40).tolist() == [19, 20, 21]
    assert level[20] == 0.0
    np.testing.assert_allclose(level[[19, 21]], level[19], atol=1.0)  # it reaches one frame to either side, alike
    np.testing.assert_allclose(loudness(samples / 100, fps), level, atol=1e-6)


def test_loudness_of_a_known_step() -> None:
    """A tone at a tenth of the amplitude is 20 dB below; silence is all alike."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    level = loudness(tone * np.where(np.arange(16000) < 8000, 0.1, 1.0), 25.0)
    np.testing.assert_allclose(level[:10], -20, atol=0.05)
    np.testing.assert_allclose(level[14:], 0, atol=0.05)
    assert np.array_equal(loudness(np.zeros(16000), 25.0), np.zeros(25))
    assert loudness(np.zeros(0), 25.0).shape == (0,)


def test_mouth_audio_of_a_mouth_that_follows_the_sound(tmp_path: Path) -> None:
    face = talking(75)
    opening = mouth_opening(face)
    envelope = np.interp(np.arange(48000), (np.arange(75) + 0.5) * 640, 10 ** (20 * (opening - opening.max())))
    heard = wav(tmp_path / "a.wav", envelope * np.random.default_rng(1).normal(0, 0.1, 48000))
    result = of_points(MOUTH_AUDIO, face, face, heard=heard)
    assert result.value > 0.85
    assert np.array_equal(result.per_frame, of_points(MOUTH_AUDIO, face, face, size=9, heard=heard).per_frame)
    late = np.roll(face, 5, axis=0)
    assert of_points(MOUTH_AUDIO, late, face, heard=heard).value < 0
    still = face[:1].repeat(75, axis=0)
    assert of_points(MOUTH_AUDIO, still, face, heard=heard).value == pytest.approx(0.0, abs=1e-9)


def test_mouth_audio_without_sound(tmp_path: Path) -> None:
    with pytest.raises(Undefined, match="no sound.*--sound FILE"):
        MOUTH_AUDIO.open(Settings())
    face = talking(50)
    silent = of_points(MOUTH_AUDIO, face, face, heard=wav(tmp_path / "silent.wav", np.zeros(32000)))
    assert (silent.state, silent.reason) == ("undefined", MOUTH_AUDIO.undefined)
    short = of_points(MOUTH_AUDIO, face, face, heard=wav(tmp_path / "short.wav", np.full(16000, 0.1)))
    assert (short.n, short.state) == ((25, 50), "invalid")


def test_sound_of_the_test_frames(tmp_path: Path) -> None:
    """One after the other, also where frames lie apart; silence where the file ends early."""
    samples = np.arange(16000) / 16000
    subject: Any = SimpleNamespace(sound=wav(tmp_path / "all.wav", samples), fps=25.0, test_ids=[3, 4, 20, 24, 25])
    with sound.test_sound(subject) as path:
        found = video.read_audio(path)
    expected = np.concatenate([samples[640 * i : 640 * (i + 1)] for i in (3, 4, 20, 24)] + [np.zeros(640)])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert not path.exists()
    with sound.test_sound(SimpleNamespace(sound=None)) as path:  # type: ignore[arg-type]
        assert path is None
