"""One pair of videos under every definition of PSNR, SSIM and LMD that the field's code holds: how far names alone move numbers.

The prediction is made up (the ground truth, blurred and noised), so that only the differences between rows mean anything.
``bench protocols demo`` prints them; docs/metrics.md keeps them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import landmarks
from bench.metrics.ssim import ssim
from bench.pixels import quantised
from bench.protocol import codec
from bench.subject import Subject
from bench.video import read_video

Floats = NDArray[np.float32]
MOUTH = slice(48, 68)
_SEED = 25


@dataclass(frozen=True)
class Sample:
    """Ground truth and a prediction that is known before it becomes 8 bits."""

    pred: Floats
    """[N, H, W, 3], 0…1."""
    gt: NDArray[np.uint8]
    """[N, H, W, 3]."""
    detector: landmarks.Detector

    @property
    def truth(self) -> Floats:
        """The ground truth, 0…1."""
        return self.gt.astype(np.float32) / 255

    @cached_property
    def floored(self) -> NDArray[np.uint8]:
        """The prediction, cut off to 8 bits."""
        return np.stack([quantised(frame, "u8-floor") for frame in self.pred])

    @cached_property
    def rounded(self) -> NDArray[np.uint8]:
        """The prediction, rounded to 8 bits."""
        return np.stack([quantised(frame, "u8-round") for frame in self.pred])

    @cached_property
    def pred_mp4(self) -> NDArray[np.uint8]:
        """The prediction as TalkingGaussian's and DEGSTalk's mp4 shows it."""
        return _mp4(self.floored)

    @cached_property
    def gt_mp4(self) -> NDArray[np.uint8]:
        """The ground truth, likewise."""
        return _mp4(self.gt)

    @cached_property
    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mouth points (pred, gt), [M, 20, 2] in pixels, of the frames in which both faces were found."""
        sides = [landmarks.detect_all(self.detector, frames).astype(np.float64) for frames in (self.floored, self.gt)]
        found = ~np.isnan(sides).any(axis=(0, 2, 3))
        return sides[0][found, MOUTH], sides[1][found, MOUTH]


def sample(subject: Subject, frames: int, detector: landmarks.Detector) -> Sample:
    """The subject's first test frames and a prediction of them whose quality comes and goes: blur σ 0.6–1.4 px, noise 1–3 levels."""
    gt = np.stack([subject.frame(number).image for number in subject.test_ids[:frames]])
    rng = np.random.default_rng(_SEED)
    bad = 0.5 - 0.5 * np.cos(np.arange(len(gt)) * 2 * np.pi / 12)
    pred = [
        cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 0.6 + 0.8 * b) + rng.normal(0, 1 + 2 * b, frame.shape)
        for frame, b in zip(gt, bad, strict=True)
    ]
    return Sample(np.clip(np.stack(pred) / 255, 0, 1).astype(np.float32), gt, detector)


def _mp4(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "out.mp4"
        codec.write_h264(path, frames)
        return np.stack(list(read_video(path)))


@dataclass(frozen=True)
class Definition:
    """One way to get a number of this name."""

    metric: Literal["PSNR", "SSIM", "LMD"]
    name: str
    source: str
    """Who computes it so."""
    value: Callable[[Sample], float]


def table(pair: Sample) -> list[tuple[Definition, float]]:
    """Every definition's number for ``pair``."""
    return [(definition, definition.value(pair)) for definition in DEFINITIONS]


def _psnr(pred: NDArray[Any], gt: NDArray[Any], peak: float) -> float:
    """Mean over frames of each frame's decibels, as the official scripts take it."""
    mse = ((pred.astype(np.float64) - gt) ** 2).mean((1, 2, 3)) / peak**2
    return float((-10 * np.log10(mse)).mean())


def _frame_mean(pair: Sample) -> float:
    return _psnr(pair.pred, pair.truth, 1)


def _pooled(pair: Sample) -> float:
    return float(-10 * np.log10(((pair.pred.astype(np.float64) - pair.truth) ** 2).mean()))


def _centre(frames: NDArray[Any]) -> NDArray[Any]:
    """The middle of the frame: half its height, half its width, a quarter of its pixels."""
    height, width = frames.shape[1:3]
    return frames[:, height // 4 : height - height // 4, width // 4 : width - width // 4]


def _pasted(pair: Sample) -> float:
    frames = pair.truth.copy()
    _centre(frames)[:] = _centre(pair.pred)
    return _psnr(frames, pair.truth, 1)


def _masked(pair: Sample) -> float:
    return _psnr(_centre(pair.pred), _centre(pair.truth), 1)


def _masked_over_all(pair: Sample) -> float:
    mask = np.zeros_like(pair.truth)
    _centre(mask)[:] = 1
    return _psnr(pair.pred * mask, pair.truth * mask, 1)


def _skimage(pred: NDArray[Any], gt: NDArray[Any], data_range: float) -> float:
    from skimage.metrics import structural_similarity

    score: Any = structural_similarity  # it has no types
    values = [score(g, p, channel_axis=2, data_range=data_range) for p, g in zip(pred, gt, strict=True)]
    return float(np.mean(values))


def _zero_padded(pair: Sample) -> float:
    """11×11 Gaussian, σ 1.5, windows that reach over the frame's edge filled with zeros."""
    axis = cv2.getGaussianKernel(11, 1.5)

    def local(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.sepFilter2D(x, -1, axis, axis, borderType=cv2.BORDER_CONSTANT))

    def one(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        mx, my = local(x), local(y)
        vx, vy, cov = local(x * x) - mx * mx, local(y * y) - my * my, local(x * y) - mx * my
        c1, c2 = 0.01**2, 0.03**2
        return float((((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean())

    pairs = zip(pair.rounded / 255.0, pair.gt / 255.0, strict=True)
    return float(np.mean([one(pred, gt) for pred, gt in pairs]))


def _lmd_centred(pair: Sample) -> float:
    pred, gt = (points - points.mean(1, keepdims=True) for points in pair.points)
    return float(np.linalg.norm(pred - gt, axis=2).mean())


def _lmd_coordinates(pair: Sample) -> float:
    return float(np.abs(pair.points[0] - pair.points[1]).mean())


def _lmd_of_68(pair: Sample) -> float:
    return float((np.linalg.norm(pair.points[0] - pair.points[1], axis=2).sum(1) / 68).mean())


def _lmd_uncentred(pair: Sample) -> float:
    return float(np.linalg.norm(pair.points[0] - pair.points[1], axis=2).mean())


DEFINITIONS: tuple[Definition, ...] = (
    Definition("PSNR", "floats, mean over frames", "ER-NeRF, SyncTalk: utils.py, in memory", _frame_mean),
    Definition("PSNR", "floats, one MSE over all frames", "torchmetrics, dim=None", _pooled),
    Definition("PSNR", "cut off to 8 bits", "any script's saved frames", lambda p: _psnr(p.floored, p.gt, 255)),
    Definition("PSNR", "rounded to 8 bits", "talkbench, neutral", lambda p: _psnr(p.rounded, p.gt, 255)),
    Definition(
        "PSNR", "mp4 against mp4", "TalkingGaussian, DEGSTalk: metrics.py", lambda p: _psnr(p.pred_mp4, p.gt_mp4, 255)
    ),
    Definition(
        "PSNR", "mp4 against lossless", "their renders against ori_imgs", lambda p: _psnr(p.pred_mp4, p.gt, 255)
    ),
    Definition(
        "PSNR", "ground truth's mp4 against it", "the codec's own ceiling", lambda p: _psnr(p.gt_mp4, p.gt, 255)
    ),
    Definition("PSNR", "pasted on the ground truth but for the centre 25 %", "SyncTalk --portrait, in kind", _pasted),
    Definition("PSNR", "centre 25 %, mean over its pixels", "talkbench, regions", _masked),
    Definition("PSNR", "centre 25 %, mean over all pixels", "NerfBaselines' rule for masks", _masked_over_all),
    Definition(
        "SSIM", "7×7 uniform window", "DEGSTalk: metrics.py (scikit-image's defaults)", lambda p: _skimage(p.rounded, p.gt, 255)
    ),
    Definition(
        "SSIM", "11×11 Gaussian, whole windows", "talkbench, NerfBaselines, torchmetrics",
        lambda p: float(ssim(p.rounded, p.gt).mean()),
    ),
    Definition("SSIM", "11×11 Gaussian, zeros around the frame", "3D Gaussian splatting: loss_utils.py", _zero_padded),
    Definition(
        "SSIM", "7×7 uniform window, data_range=2", "older scikit-image's default for floats",
        lambda p: _skimage(p.rounded / 255.0, p.gt / 255.0, 2),
    ),
    Definition("LMD", "each mouth centred, mean distance", "ER-NeRF, SyncTalk, TalkingGaussian, DEGSTalk", _lmd_centred),
    Definition("LMD", "not centred, mean error of x and y", "TalkingHeadMetrics 853aa11", _lmd_coordinates),
    Definition("LMD", "not centred, sum over 20 points, divided by 68", "talking-head-metrics 9cf8d6a", _lmd_of_68),
    Definition("LMD", "not centred, mean distance", "the formula without its first step", _lmd_uncentred),
)  # fmt: skip
"""In the order of the table; units: dB, 1, px."""
