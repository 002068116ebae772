"""Do the metrics measure what they say? Known damage to the ground truth must cost what it costs, and nothing else.

On the embedded subjects' test frames, scored from files as ever. A metric that needs a model which isn't here is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

from bench import catalogue, protocol, regions, sound
from bench.contract import Conditioning, TrainTask
from bench.metrics import METRICS, MetricResult
from bench.scoring import score
from bench.subject import Subject
from bench.video import Frame, write_lossless
from methods.baselines.reference.codec import Codec
from methods.baselines.reference.copy_gt import CopyGt
from methods.baselines.reference.frozen_mouth import FrozenMouth
from methods.baselines.reference.mean_frame import MeanFrame
from methods.baselines.reference.time_shift import SHIFT, TimeShift
from methods.baselines.reference.wrong_audio import WrongAudio

METHODS: dict[str, Any] = {
    method.info.name: method for method in (CopyGt, Codec, FrozenMouth, MeanFrame, TimeShift, WrongAudio)
}

LATE = {"ada": (1, 2, 3, 5, 8), "ben": (1, 2, 3)}
"""Frames. Ben says but a word in his test frames: farther away, a mouth is as often right as wrong."""
BLURS = (0.5, 1.0, 2.0, 3.0)
"""Standard deviations in pixels."""
PICTURES = ("psnr", "ssim", "ms-ssim", "lpips", "flip", "sharpness")
MOTION = ("lmd", "lmd-face", "lmd-eyes", "jaw", "blink", "mouth-audio", "flicker")

RANKS: dict[str, list[set[str]]] = {
    "psnr": [{"copy-gt"}, {"codec", "wrong-audio", "frozen-mouth"}, {"time-shift"}, {"mean-frame"}],
    "ssim": [{"copy-gt"}, {"codec", "wrong-audio", "frozen-mouth"}, {"time-shift"}, {"mean-frame"}],
    "ms-ssim": [{"copy-gt"}, {"codec", "wrong-audio", "frozen-mouth"}, {"time-shift"}, {"mean-frame"}],
    "lpips": [{"copy-gt"}, {"codec", "wrong-audio", "frozen-mouth"}, {"time-shift"}, {"mean-frame"}],
    # FLIP counts faint errors that are everywhere nearly as much as strong ones: codec stands beside time-shift.
    "flip": [{"copy-gt"}, {"wrong-audio", "frozen-mouth"}, {"codec", "time-shift"}, {"mean-frame"}],
    "sharpness": [{"copy-gt", "codec", "wrong-audio", "frozen-mouth", "time-shift"}, {"mean-frame"}],
    "lmd": [{"copy-gt"}, {"codec"}, {"time-shift", "frozen-mouth", "wrong-audio", "mean-frame"}],
    "lmd-face": [{"copy-gt"}, {"codec"}, {"wrong-audio", "frozen-mouth"}, {"time-shift"}, {"mean-frame"}],
    "lmd-eyes": [{"copy-gt"}, {"codec", "wrong-audio", "frozen-mouth"}, {"time-shift"}, {"mean-frame"}],
    "jaw": [{"copy-gt"}, {"codec"}, {"time-shift"}, {"wrong-audio", "frozen-mouth"}],
    "blink": [{"copy-gt"}, {"codec", "wrong-audio", "frozen-mouth"}, {"time-shift"}],
    "mouth-audio": [{"copy-gt", "codec"}, {"time-shift", "frozen-mouth", "wrong-audio", "mean-frame"}],
    # What never moves can't flicker: a metric of one fault alone.
    "flicker": [{"copy-gt", "mean-frame"}, {"codec", "wrong-audio", "frozen-mouth"}, {"time-shift"}],
}
"""Reference methods, best first; within a set the order is the subject's own."""


class _Quiet:
    """Progress that nobody watches."""

    def stage(self, name: str, total: int) -> None: ...

    def step(self, done: int, scalars: Any = None) -> None: ...

    def image(self, name: str, picture: Any) -> None: ...


@dataclass
class Stand:
    """A subject's test frames, whatever is done to them, and its scores; each is computed when it is first asked for."""

    subject: Subject
    folder: Path
    _made: dict[str, list[Frame]] = field(default_factory=dict)
    _scored: dict[tuple[str, str], MetricResult] = field(default_factory=dict)

    @property
    def ids(self) -> list[int]:
        return self.subject.test_ids

    @cached_property
    def truth(self) -> list[Frame]:
        return [self.subject.frame(number).image for number in self.ids]

    def late(self, by: int) -> str:
        if by in (0, SHIFT):
            return self.rendered("time-shift" if by else "copy-gt")
        self._made.setdefault(f"late {by}", [self.truth[max(0, index - by)] for index in range(len(self.truth))])
        return f"late {by}"

    def blurred(self, sigma: float) -> str:
        if not sigma:
            return self.rendered("copy-gt")
        if f"blur {sigma}" not in self._made:
            made = (gaussian_filter(frame.astype(np.float64), (sigma, sigma, 0)) for frame in self.truth)
            self._made[f"blur {sigma}"] = [np.rint(frame).astype(np.uint8) for frame in made]
        return f"blur {sigma}"

    def rendered(self, name: str) -> str:
        """A reference method, trained and rendered."""
        if name not in self._made:
            method, out = METHODS[name](), self.folder / name
            out.mkdir()
            method.train(TrainTask(self.subject.for_training(), out, "quick", 0, "cpu", _Quiet()))
            given = [Conditioning(self.subject.frame(i), self.subject, method.info.sees) for i in self.ids]
            self._made[name] = list(method.load(out, "cpu").render(given))
        return name

    def frames(self, made: str) -> list[Frame]:
        return self._made[made]

    def value(self, made: str, metric: str) -> float:
        """A score; infinite for PSNR of identical frames. Skips the test where the metric can't be had."""
        result = self.result(made, metric)
        if result.state in ("absent", "undefined"):
            pytest.skip(f"{metric}: {result.reason}")
        assert result.state != "invalid", result.reason
        return np.inf if result.value is None else result.value

    def result(self, made: str, metric: str) -> MetricResult:
        """A result, scored together with the others of its kind."""
        if (made, metric) not in self._scored:
            moving = metric in MOTION
            found = self.score(self._made[made], MOTION if moving else PICTURES, step=1 if moving else 12)
            self._scored |= {(made, name): result for name, result in found.items()}
        return self._scored[made, metric]

    def score(
        self, frames: Sequence[Frame], names: Sequence[str], step: int = 1, parts: tuple[str, ...] = (), **options: Any
    ) -> dict[str, MetricResult]:
        """Every ``step``-th frame, through a file; with sound if it is every one."""
        path, rules = self.folder / "frames.mkv", protocol.get("neutral").model_copy(update={"regions": parts})
        write_lossless(path, frames[::step], 25)
        with sound.test_sound(self.subject) as heard:
            options |= {"subject": self.subject, "protocol": rules, "sound": heard if step == 1 else None}
            return score(path, metrics=names, expected_ids=self.ids[::step], **options)


@pytest.fixture(scope="module", params=["ada", pytest.param("ben", marks=pytest.mark.slow)])
def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stand:
    """Ada's test frames; Ben's where slow tests are wanted."""
    return Stand(catalogue.resolve(request.param), tmp_path_factory.mktemp(request.param))


def worse(metric: str) -> Callable[[float, float], bool]:
    """Whether the second value is worse than the first."""
    return (lambda a, b: b < a) if METRICS[metric].higher_is_better else (lambda a, b: b > a)


@pytest.mark.parametrize("metric", ["lmd", "lmd-face", "jaw", "blink", "mouth-audio"])
def test_the_later_the_worse(stand: Stand, metric: str) -> None:
    values = [stand.value(stand.late(by), metric) for by in (0, *LATE[stand.subject.name])]
    is_worse = worse(metric)
    assert all(is_worse(a, b) for a, b in zip(values, values[1:], strict=False)), values


@pytest.mark.parametrize("metric", PICTURES)
def test_the_more_blurred_the_worse(stand: Stand, metric: str) -> None:
    values = [stand.value(stand.blurred(sigma), metric) for sigma in (0.0, *BLURS)]
    if metric == "sharpness":
        values.pop()  # it has its limit: beyond 2 px no edge is narrow any more
    is_worse = worse(metric)
    assert all(is_worse(a, b) for a, b in zip(values, values[1:], strict=False)), values


@pytest.mark.parametrize("metric", RANKS)
def test_reference_methods_rank_as_they_must(stand: Stand, metric: str) -> None:
    groups = [[stand.value(stand.rendered(name), metric) for name in sorted(group)] for group in RANKS[metric]]
    is_worse = worse(metric)
    for better, lesser in zip(groups, groups[1:], strict=False):
        assert all(is_worse(a, b) for a in better for b in lesser), (metric, groups)


def test_the_truth_itself_is_perfect(stand: Stand) -> None:
    made = stand.rendered("copy-gt")
    assert stand.result(made, "psnr").state == "identical"
    perfect = {"ssim": 1.0, "lpips": 0.0, "lmd": 0.0}
    assert {name: stand.value(made, name) for name in perfect} == perfect


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("ms-ssim", 1),
        ("flip", 0),
        ("sharpness", 0),
        ("lmd-face", 0),
        ("lmd-eyes", 0),
        ("jaw", 1),
        ("blink", 1),
        ("flicker", 0),
    ],
)
def test_the_truth_itself_is_perfect_in_the_others(stand: Stand, metric: str, value: float) -> None:
    assert stand.value(stand.rendered("copy-gt"), metric) == pytest.approx(value, abs=1e-9)


def test_other_words_hurt_the_mouth(stand: Stand) -> None:
    truth, wrong, codec = (stand.rendered(name) for name in ("copy-gt", "wrong-audio", "codec"))
    assert stand.value(wrong, "lmd") > 5 * stand.value(codec, "lmd")
    assert stand.value(wrong, "jaw") < 0.3 < 0.9 < stand.value(codec, "jaw")
    assert stand.value(wrong, "mouth-audio") < stand.value(truth, "mouth-audio") - 0.15


def test_other_words_hurt_nothing_but_the_mouth(stand: Stand) -> None:
    """Outside the mouth not one pixel differs; what a detector sees of the eyes then moves by its noise."""

    def rest(number: int) -> Any:
        box = regions.mouth(stand.subject.frame(number))
        return ~binary_dilation(box, iterations=int(0.25 * np.ptp(np.flatnonzero(box.any(0)))))

    wrong = stand.rendered("wrong-audio")
    psnr = stand.score(stand.frames(wrong), ["psnr"], parts=("mouth", "hair"), masks={"rest": rest})["psnr"]
    assert {name: part.state for name, part in psnr.regions.items()} == {
        "mouth": "ok", "hair": "identical", "rest": "identical"
    }  # fmt: skip
    assert psnr.regions["mouth"].value < 28
    assert stand.value(wrong, "lmd-eyes") < 0.15 * stand.value(wrong, "lmd")
    assert stand.value(wrong, "blink") > 0.97


def test_truth_pasted_around_the_face_helps_the_whole_frame_and_never_the_mouth(stand: Stand) -> None:
    poor, pasted = stand.frames(stand.blurred(2.0)), []
    for number, frame, truth in zip(stand.ids, poor, stand.truth, strict=True):
        person = stand.subject.frame(number)
        own = regions.face(person) | regions.mouth(person)
        pasted.append(np.where(own[..., None], frame, truth))
    before, after = (stand.score(f, ["psnr"], parts=("face", "mouth"))["psnr"] for f in (poor, pasted))
    assert before.value is not None
    assert after.value is not None
    assert after.value > before.value + 4
    for part in ("face", "mouth"):
        assert after.regions[part].value == before.regions[part].value
