"""The landmark metrics on real frames of the embedded subjects: what is wrong with a prediction shows where it should."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from bench import catalogue, landmarks, sound
from bench.metrics import Batch, Metric, MetricResult, Settings, aggregate
from bench.metrics.landmark_distance import METRICS as DISTANCES
from bench.metrics.motion import BLINKING, JAW
from bench.metrics.mouth_audio import METRIC as MOUTH_AUDIO

ALL = (*DISTANCES, BLINKING, JAW, MOUTH_AUDIO)


class Remembering:
    """MediaPipe, asked once for each picture."""

    def __init__(self) -> None:
        self._inner = landmarks.get("mediapipe")
        self.name, self.version = self._inner.name, self._inner.version
        self._known: dict[bytes, np.ndarray | None] = {}

    def detect(self, frame: np.ndarray) -> np.ndarray | None:
        key = frame.tobytes()
        if key not in self._known:
            self._known[key] = self._inner.detect(frame)
        return self._known[key]


@pytest.fixture(scope="module")
def detector() -> Iterator[Remembering]:
    remembering = Remembering()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landmarks, "get", lambda name, device="cpu": remembering)
        yield remembering


@pytest.fixture(scope="module")
def truth() -> dict[str, np.ndarray]:
    """Test frames of the embedded subjects, uint8 [37, 256, 256, 3]."""
    subjects = {name: catalogue.resolve(name) for name in ("ada", "ben")}
    return {name: np.stack([s.frame(i).image for i in s.test_ids]) for name, s in subjects.items()}


def scores(
    pred: np.ndarray, gt: np.ndarray, subject: str, metrics: Iterable[Metric] = ALL, size: int = 8
) -> dict[str, MetricResult]:
    """The metrics' results of ``pred``, taken in batches of ``size``."""
    found = {}
    with sound.test_sound(catalogue.resolve(subject)) as path:
        for metric in metrics:
            scorer = metric.open(Settings(sound=path))
            pieces = [Batch(pred[a : a + size], gt[a : a + size]) for a in range(0, len(gt), size)]
            values = np.concatenate([scorer.per_frame(batch)["full"] for batch in pieces])
            found[metric.name] = aggregate(metric, scorer, values, len(gt), 0.95)
    return found


def late(frames: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([frames[:1].repeat(by, axis=0), frames[: len(frames) - by]])


@pytest.mark.parametrize("subject", ["ada", "ben"])
def test_late_frames_are_worse(subject: str, detector: Remembering, truth: dict[str, np.ndarray]) -> None:
    gt = truth[subject]
    found = [scores(late(gt, by), gt, subject) for by in (0, 1, 2, 3)]
    assert all(result.state == "ok" for name, result in found[0].items() if name != "blink")
    assert found[0]["lmd"].value == found[0]["lmd-face"].value == 0.0
    assert found[0]["jaw"].value == pytest.approx(1.0)
    assert found[0]["mouth-audio"].value > 0.2
    for name, better in (("lmd", -1), ("lmd-face", -1), ("lmd-eyes", -1), ("jaw", 1), ("mouth-audio", 1)):
        values = [better * results[name].value for results in found]
        assert values == sorted(values, reverse=True), name
    # Ben doesn't blink in his test frames; Ada does.
    assert found[2]["blink"].state == ("ok" if subject == "ada" else "undefined")
    assert subject == "ben" or found[2]["blink"].value < 0.9


def test_lateness_costs_mouth_audio_on_average(detector: Remembering, truth: dict[str, np.ndarray]) -> None:
    means = [
        np.mean([scores(late(gt, by), gt, name, [MOUTH_AUDIO])["mouth-audio"].value for name, gt in truth.items()])
        for by in (0, 1, 2, 3, 5, 8)
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.3 > 0 > means[-1]


def frozen(frames: np.ndarray, points: np.ndarray, parts: tuple[slice, ...], grow: tuple[float, float]) -> np.ndarray:
    """Frames with boxes around the given points as they are in frame 12, moved along with the points' middle."""
    out = frames.copy()
    for part in parts:
        middle = np.round(points[:, part].mean(axis=1)).astype(int)
        w, h = np.ceil(np.abs(points[12, part] - middle[12]).max(axis=0) * grow + 2).astype(int)
        for frame, (x, y) in zip(out, middle, strict=True):
            u, v = middle[12]
            frame[y - h : y + h, x - w : x + w] = frames[12, v - h : v + h, u - w : u + w]
    return out


def test_frozen_eyes_and_frozen_mouth(detector: Remembering, truth: dict[str, np.ndarray]) -> None:
    """Each is noticed by the metrics that are about it, and next to nothing by the others."""
    gt = truth["ada"]
    points = landmarks.detect_all(detector, gt)
    whole = scores(gt, gt, "ada")
    eyes = scores(frozen(gt, points, (slice(36, 42), slice(42, 48)), (1.4, 2.2)), gt, "ada")
    mouth = scores(frozen(gt, points, (slice(48, 68),), (1.3, 1.8)), gt, "ada")
    assert eyes["blink"].value < 0.3
    assert eyes["jaw"].value > 0.95
    assert eyes["mouth-audio"].value == pytest.approx(whole["mouth-audio"].value, abs=0.05)
    assert mouth["jaw"].value < 0.3
    assert mouth["blink"].value > 0.95
    assert mouth["mouth-audio"].value < whole["mouth-audio"].value - 0.1
    assert eyes["lmd"].value < mouth["lmd"].value / 3
    assert mouth["lmd-eyes"].value < eyes["lmd-eyes"].value / 1.5


def test_nothing_depends_on_the_batch(detector: Remembering, truth: dict[str, np.ndarray]) -> None:
    gt, pred = truth["ada"], late(truth["ada"], 2)
    whole = scores(pred, gt, "ada", size=37)
    for size in (1, 5, 8):
        for name, result in scores(pred, gt, "ada", size=size).items():
            assert np.array_equal(result.per_frame, whole[name].per_frame), name
            assert str(result.signature) == str(whole[name].signature)
