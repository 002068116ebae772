"""The official scripts' scoring as their specs tell it, step by step and one frame at a time, with the libraries they call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from skimage.metrics import structural_similarity

from bench.landmarks import Detector
from bench.subject import Frame


def _video(path: Path) -> Iterator[np.ndarray]:
    """RGB frames, as cv2 decodes them."""
    capture = cv2.VideoCapture(str(path))
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield frame[..., ::-1].copy()


def _tensor(frame: np.ndarray) -> torch.Tensor:
    """[1, H, W, 3], 0…1."""
    return torch.from_numpy(frame.astype(np.float32) / 255)[None]


def _psnr(pred: torch.Tensor, gt: torch.Tensor) -> float:
    return float(-10 * np.log10(((pred.numpy() - gt.numpy()) ** 2).mean()))


def _lpips(pred: torch.Tensor, gt: torch.Tensor, network: Any) -> float:
    with torch.no_grad():
        return float(network(gt.permute(0, 3, 1, 2), pred.permute(0, 3, 1, 2), normalize=True))


def _lmd(pred: torch.Tensor, gt: torch.Tensor, detector: Detector) -> float:
    """IndexError where a face isn't found, as ``get_landmarks(…)[-1]`` of no faces."""
    mouths = []
    for tensor in (pred, gt):
        found = detector.detect((tensor[0].numpy() * 255).astype(np.uint8))
        points = ([] if found is None else [found])[-1][48:68].astype(np.float64)
        mouths.append(points - points.mean(0))
    return float(np.sqrt(((mouths[0] - mouths[1]) ** 2).sum(1)).mean())


def degstalk(pred: Path, gt: Path, network: Any, detector: Detector) -> dict[str, tuple[float, int]]:
    """DEGSTalk's metrics.py (spec_degstalk §6): (mean, frames in it) by metric."""
    values: dict[str, list[float]] = {"psnr": [], "ssim": [], "lpips": [], "lmd": []}
    for shown, known in zip(_video(pred), _video(gt), strict=False):
        p, g = _tensor(shown), _tensor(known)
        values["psnr"].append(_psnr(p, g))
        values["lpips"].append(_lpips(p, g, network))
        sides = [(tensor[0].numpy() * 255).astype(np.uint8) for tensor in (g, p)]
        values["ssim"].append(structural_similarity(*sides, channel_axis=2))
        try:
            values["lmd"].append(_lmd(p, g, detector))
        except IndexError as error:
            print(error)
    return {name: (float(np.mean(numbers)), len(numbers)) for name, numbers in values.items()}


def in_memory(
    preds: Iterable[torch.Tensor], truths: Iterable[torch.Tensor], network: Any, detector: Detector
) -> dict[str, float]:
    """The meters of ER-NeRF's and SyncTalk's test loops (spec_ernerf §7): float tensors [1, H, W, 3], no SSIM, no forgiveness."""
    values: dict[str, list[float]] = {"psnr": [], "lpips": [], "lmd": []}
    for p, g in zip(preds, truths, strict=True):
        values["psnr"].append(_psnr(p, g))
        values["lpips"].append(_lpips(p, g, network))
        values["lmd"].append(_lmd(p, g, detector))
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}


def talkinggaussian(pred: Path, gt: Path, network: Any, detector: Detector) -> dict[str, float]:
    """TalkingGaussian's metrics.py (spec_talkinggaussian §6): the same meters on two videos, up to the shorter one's end."""
    pairs = [(_tensor(p), _tensor(g)) for p, g in zip(_video(pred), _video(gt), strict=False)]
    return in_memory([p for p, _ in pairs], [g for _, g in pairs], network, detector)


def write_gt_img(path: Path, frame: Frame) -> None:
    """process.py's ``gt_imgs`` (spec_talkinggaussian §2.5): the plate where the parsing is white, through cv2 in BGR."""
    image = frame.image[..., ::-1].copy()
    white = frame.labels == 0
    image[white] = frame.subject.background[..., ::-1][white]
    cv2.imwrite(str(path), image)


def read_gt_img(path: Path) -> np.ndarray:
    """RGB."""
    return cv2.imread(str(path))[..., ::-1].copy()


def synctalk_mask(labels: np.ndarray) -> np.ndarray:
    """``parsing/<id>_face.png`` (spec_synctalk §2.3), BGR, for class labels [512, 512]."""
    picture = np.full((512, 512, 3), 255, np.uint8)
    for label in (1, 2, 3, 4, 5, 6, 10, 11, 12, 13):
        picture[labels == label] = (255, 0, 0)
    rows, columns = np.nonzero(picture[..., 1] == 0)
    first, width = columns.min(), columns.max() - columns.min()
    for column in np.unique(columns):
        x = min(rows[columns == column].max() + 5, 511)
        if first + width // 4 <= column <= first + 3 * (width // 4):
            picture[max(x - 5, 0) : min(x + 5, 512), column] = (255, 0, 0)
    return cv2.GaussianBlur(picture, (9, 9), 4)


def synctalk_blend(pred: np.ndarray, frame: Frame) -> torch.Tensor:
    """The portrait image [1, H, W, 3], 0…1 (spec_synctalk §2.3, §4.2): float tensors, mask from the green channel."""
    size = frame.labels.shape[::-1]
    grid = cv2.resize(frame.labels, (512, 512), interpolation=cv2.INTER_NEAREST)
    mask = cv2.resize(synctalk_mask(grid), size, interpolation=cv2.INTER_NEAREST)
    weight = torch.from_numpy((255 - mask[..., 1:2]).astype(np.float32) / 255)[None]
    return _tensor(pred) * weight + _tensor(frame.image) * (1 - weight)
