"""frozen-mouth: the ground truth with one training frame's mouth on it. Everything moves but the lips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.draw import polygon2mask
from skimage.transform import estimate_transform, warp

from bench.contract import Conditioning, MethodInfo, TrainTask
from bench.paths import atomic_file

_FILE = "mouth.safetensors"
_STILL, _LIPS = slice(27, 48), slice(48, 68)
"""Nose and eyes, which say where the head is; the lips."""
_MARGIN = 0.25
"""Width of the soft edge around the mouth, in mouth widths."""


class FrozenMouth:
    """Sees the test frame and its landmarks."""

    info = MethodInfo(
        name="frozen-mouth",
        title="Ground truth with a frozen mouth",
        summary="Moves like the truth, but never speaks: lip metrics must notice.",
        kind="reference",
        sees=frozenset({"ground_truth"}),
        canvas="ground-truth",
    )

    def train(self, task: TrainTask) -> None:
        """Keep the training frame whose mouth is open as wide as the median."""
        ids, openings = task.subject.train_ids, []
        task.progress.stage("choose", len(ids))
        for done, frame_id in enumerate(ids, start=1):
            points = task.subject.frame(frame_id).landmarks
            openings.append(np.linalg.norm(points[62] - points[66]) / np.linalg.norm(points[27] - points[8]))
            task.progress.step(done)
        chosen = task.subject.frame(ids[int(np.argsort(openings, kind="stable")[len(ids) // 2])])
        with atomic_file(task.out / _FILE) as path:
            save_file({"picture": chosen.image, "landmarks": chosen.landmarks}, path)

    def load(self, checkpoint: Path, device: str) -> _Paster:
        """Read the chosen frame."""
        return _Paster(**load_file(checkpoint / _FILE))


class _Paster:
    def __init__(self, picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> None:
        self._picture, self._landmarks = picture, landmarks

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.uint8]]:
        """The frames, each with the kept mouth moved to where the head is."""
        return (self._paste(item.ground_truth, item.landmarks) for item in conditioning)

    def _paste(self, frame: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.uint8]:
        motion = estimate_transform("similarity", self._landmarks[_STILL], points[_STILL])
        moved = warp(self._picture, motion.inverse, output_shape=frame.shape[:2], mode="edge", preserve_range=True)
        lips = np.concatenate([motion(self._landmarks[_LIPS]), points[_LIPS]])
        outline = lips[ConvexHull(lips).vertices][:, ::-1]
        distance = ndimage.distance_transform_edt(~polygon2mask(frame.shape[:2], outline))
        alpha = np.clip(1 - distance / (_MARGIN * np.ptp(lips[:, 0])), 0, 1)[..., None]
        return np.round(alpha * moved + (1 - alpha) * frame).astype(np.uint8)
