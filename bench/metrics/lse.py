"""LSE-D and LSE-C: how near SyncNet finds the mouth to the sound, and how much nearer than at other offsets.

Wav2Lip's evaluation of real videos, with two differences that the signature names: the face is found by our landmark detector instead
of S3FD (``crop``), and the crops don't go through a lossy video on their way to the network.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import landmarks, video
from bench.audio import RATE
from bench.metrics.base import Metric, Scorer, Series, Settings, Undefined
from bench.metrics.batch import FULL, Batch, Frames, Values
from bench.metrics.landmark_distance import detector_of
from bench.metrics.mfcc import mfcc
from bench.stats import Batched

if TYPE_CHECKING:
    from bench.metrics.syncnet import Embedder

FRAMES = 5
"""Pictures of one window, at 25 a second."""
SIZE = 224
ROWS = 20
"""Rows of MFCC of one window, at 100 a second."""

FPS = 25
SHIFT = 15
"""Offsets go from -SHIFT to SHIFT frames."""
COLUMNS = tuple(f"d{offset:+d}" for offset in range(-SHIFT, SHIFT + 1))
FOREHEAD = 0.2
"""The landmarks end at the brows, a face detector's box at the hairline: this share of their height higher (MediaPipe: 0.19–0.21)."""
MARGIN = 0.4
"""How far the crop reaches beyond the box, in halves of the box's longer side: left, right, and twice as far below."""
GREY = 110
"""Beyond the frame's edge."""

Box = NDArray[np.float64]
"""x and y of a face's middle and half its longer side, in pixels."""


def face_box(points: landmarks.Points) -> Box:
    """Box [3] of a face with landmarks [68, 2]: their bounding box, raised by :data:`FOREHEAD`; NaN without a face."""
    (left, top), (right, bottom) = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    top -= FOREHEAD * (bottom - top)
    return np.array([(left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) / 2])


def crop(frames: Frames, box: Box) -> Frames:
    """Frames [N, H, W, 3] cut to one square and scaled to [N, 224, 224, 3], bilinearly.

    From the box's top edge down to 0.8 halves of its side below its bottom; as wide as high; grey beyond the frame.

    Source: ``crop_video`` of syncnet_python's run_pipeline.py with its crop scale of 0.4.
    """
    x, y, half = box
    pad = int(half * (1 + 2 * MARGIN))
    rows = slice(int(y + pad - half), int(y + pad + half * (1 + 2 * MARGIN)))
    columns = slice(int(x + pad - half * (1 + MARGIN)), int(x + pad + half * (1 + MARGIN)))
    padded = np.pad(frames, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=GREY)[:, rows, columns]
    return np.stack([cv2.resize(np.ascontiguousarray(frame), (SIZE, SIZE)) for frame in padded])


def sound_features(samples: NDArray[np.float32], embedder: Embedder) -> NDArray[np.float32]:
    """Features [T, 1024] of the 0.2 s of sound from each frame on; T is as long as whole windows of MFCC last.

    :param samples: 16 kHz mono, -1 … 1
    """
    coefficients = mfcc(np.clip(np.rint(samples * 32768.0), -32768, 32767))
    step = 100 // FPS
    starts = range(0, len(coefficients) - ROWS + 1, step)
    return np.array([embedder.sound(coefficients[i : i + ROWS]) for i in starts], np.float32).reshape(-1, 1024)


def distances(lips: NDArray[Any], sound: NDArray[Any], start: int) -> Values:
    """Euclidean distances [31] of a window's pictures [1024] from the sound that begins -15 … 15 frames after frame ``start``.

    :param sound: features [T, 1024]; before the first and after the last, the zero vector stands in, as in syncnet_python

    >>> found = distances(np.array([3.0, 4.0]), np.array([[3.0, 0.0], [3.0, 4.0]]), start=0)
    >>> found[[14, 15, 16]].tolist()  # nothing, the sound of the frame itself, the next one's
    [5.0, 4.0, 0.0]
    """
    places = start + np.arange(-SHIFT, SHIFT + 1)
    there = (places >= 0) & (places < len(sound))
    heard = np.zeros((len(places), len(lips)))
    heard[there] = sound[places[there]]
    return np.asarray(np.linalg.norm(np.asarray(lips, np.float64) - heard, axis=1))


def offset(rows: Values) -> int:
    """By how many frames the picture is late where it fits the sound best: -15 … 15, of :func:`distances` [N, 31]."""
    return SHIFT - int(np.argmin(_profile(rows[None])[0]))


def _profile(stacks: Values) -> Values:
    """Mean distance at each offset: [B, N, 31] → [B, 31]; rows of NaN are left out."""
    used = ~np.isnan(stacks).any(axis=2, keepdims=True)
    return np.asarray(np.where(used, stacks, 0.0).sum(axis=1) / used.sum(axis=1))


def _confidence(stacks: Values) -> Values:
    profile = _profile(stacks)
    return np.asarray(np.median(profile, axis=1) - profile.min(axis=1))


lse_d = Batched(lambda stacks: _profile(stacks).min(axis=1), bounds=(0.0, np.inf))
"""Statistic: the least mean distance of all offsets."""
lse_c = Batched(_confidence, bounds=(0.0, np.inf))
"""Statistic: the median of the offsets' mean distances, less the least."""


class _Windows:
    """The last five predicted frames, and the row of distances that ends with each frame."""

    def __init__(self, detector: landmarks.Detector, embedder: Embedder, sound: NDArray[np.float32]) -> None:
        self._detector, self._embedder, self._sound = detector, embedder, sound
        self._recent: deque[tuple[NDArray[np.uint8], Box]] = deque(maxlen=FRAMES)
        self._done, self._last = 0, -1

    def per_frame(self, batch: Batch) -> Series:
        """Rows [N, 31]; NaN where no window ends, or where it has a face in less than half of its frames."""
        points, _ = batch.points(self._detector)
        ids = batch.ids or range(self._done, self._done + len(batch))
        rows = np.full((len(batch), len(COLUMNS)), np.nan)
        for row, number, frame, face in zip(rows, ids, batch.pred, points, strict=True):
            if number != self._last + 1:
                self._recent.clear()
            self._recent.append((frame, face_box(face)))
            self._done, self._last = self._done + 1, number
            start = self._done - FRAMES
            boxes = np.array([box for _, box in self._recent])
            found = ~np.isnan(boxes).any(axis=1)
            if len(boxes) == FRAMES and start < len(self._sound) and 2 * found.sum() > FRAMES:
                pictures = crop(np.stack([frame for frame, _ in self._recent]), np.median(boxes[found], axis=0))
                row[:] = distances(self._embedder.lips(pictures), self._sound, start)
        return {FULL: rows}


def _open(settings: Settings) -> Scorer:
    if abs(settings.fps - FPS) > 1e-3:
        raise Undefined(
            f"SyncNet knows 25 frames a second only, these are {settings.fps:g}: convert video and truth to 25"
        )
    if settings.sound is None:
        raise Undefined("there is no sound: score a video or a subject that has it, or name it with --sound FILE")
    from bench.metrics.syncnet import load  # torch is only worth its time where SyncNet is asked for

    embedder = load(settings.device)
    detector, named = detector_of(settings)
    sound = sound_features(video.read_audio(settings.sound, RATE), embedder)
    how = (
        ("net", "syncnet-v2"),
        named,
        ("crop", f"lm+{FOREHEAD}-{MARGIN}-med{FRAMES}"),
        ("shift", str(SHIFT)),
        ("pad", "zero"),
    )
    return Scorer(_Windows(detector, embedder, sound).per_frame, how)


_DEFINITION = (
    "SyncNet v2 at 25 fps: features of each 5 predicted frames (BGR 0-255, 224x224) and of 20 rows of 13 MFCC (100 Hz, from the "
    "window's first frame on), and their Euclidean distance with the sound moved by -15 to 15 frames (zero features beyond its "
    "ends). {} A window counts for its last frame and needs a face in 3 of 5. Its crop: the landmarks' box raised by 20 % of its "
    "height, median over the window; with s half its longer side, from s above its middle to 1.8 s below, 1.4 s to either side."
)


def _metric(name: str, higher: bool, statistic: Batched, aggregation: str, sentence: str) -> Metric:
    return Metric(
        name=name,
        label=name.upper(),
        unit="1",
        higher_is_better=higher,
        definition=_DEFINITION.format(sentence),
        source="Chung & Zisserman, ACCV-W 2016 (syncnet_python); Prajwal et al., ACM MM 2020 (Wav2Lip, scores_LSE)",
        version=1,
        open=_open,
        columns=COLUMNS,
        statistic=statistic,
        aggregation=aggregation,
        undefined="there are no five frames in a row with sound",
        may_skip=True,
        warm_up=5,
    )


METRICS = (
    _metric("lse-c", True, lse_c, "median-min", "The median of the 31 means over windows, less the least of them."),
    _metric("lse-d", False, lse_d, "min", "The least of the 31 means over windows."),
)
