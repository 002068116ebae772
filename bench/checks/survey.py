"""One pass over all frames of a subject: every file is opened, and what the checks and the overview page need is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from bench import audio, classes, threads
from bench.subject import Frame, Subject

Array = NDArray[np.float64]
_BATCH = 64
_INNER = slice(17, 68)
"""Landmarks without the jaw's contour, which lies on the face's edge."""


@dataclass(frozen=True)
class Survey:
    """A subject in numbers; row = frame in the order of ids."""

    subject: Subject
    ids: NDArray[np.intp]
    """[T] frame ids, ascending."""
    counts: NDArray[np.int64]
    """[T,19] pixels of each class."""
    mouth: NDArray[np.int64]
    """[T] pixels of inner mouth or teeth."""
    inside: Array
    """[T] share of the 51 inner landmarks that lie on face or mouth."""
    landmarks: Array
    """[T,68,2] pixels."""
    views: Array
    """[T,4,4] world to camera."""
    intrinsics: Array
    """[T,3,3]"""

    @property
    def pixels(self) -> int:
        """Of a frame."""
        width, height = self.subject.size
        return width * height

    @cached_property
    def face(self) -> Array:
        """[T] share of a frame that is face."""
        skin = (1, 2, 3, 4, 5, 6, 10, 11, 12, 13)
        return self.counts[:, skin].sum(1) / self.pixels

    @cached_property
    def mouth_opening(self) -> Array:
        """[T] gap of the inner lips over the distance of the outer eye corners."""
        gap = np.linalg.norm(self.landmarks[:, 66] - self.landmarks[:, 62], axis=1)
        eyes = np.linalg.norm(self.landmarks[:, 45] - self.landmarks[:, 36], axis=1)
        return gap / np.maximum(eyes, 1e-9)

    @cached_property
    def chin(self) -> Array:
        """[T] distance from nose to chin over that of the outer eye corners: the jaw's opening, seen without the lips."""
        down = np.linalg.norm(self.landmarks[:, 8] - self.landmarks[:, 33], axis=1)
        eyes = np.linalg.norm(self.landmarks[:, 45] - self.landmarks[:, 36], axis=1)
        return down / np.maximum(eyes, 1e-9)

    @cached_property
    def blink(self) -> Array:
        """[T] clip(AU45, 0, 2) / 2."""
        return self.subject.action_units.upper[self.ids, 5].astype(np.float64) / 2

    @cached_property
    def loudness(self) -> Array | None:
        """[F] sound level of frame ids 0 … F-1, dB of full scale, not below −60; None without ``aud.wav``."""
        return self._levels(None)

    @cached_property
    def voice(self) -> Array | None:
        """[F] the same of 500–2500 Hz only, where vowels are: follows the jaw more closely than all sound does."""
        return self._levels((500, 2500))

    def _levels(self, band: tuple[int, int] | None) -> Array | None:
        path = self.subject.sound
        if path is None:
            return None
        samples = audio.read_wav(path)
        if band is not None:
            filters = signal.butter(4, band, "bandpass", fs=audio.RATE, output="sos")
            samples = signal.sosfiltfilt(filters, samples).astype(np.float32)
        return levels(samples, self.subject.fps)[: self.ids[-1] + 1]


def levels(samples: NDArray[np.float32], fps: float) -> Array:
    """[T] sound level of each video frame in dB of full scale, not below −60."""
    step = audio.RATE / fps
    edges = np.round(np.arange(int(len(samples) / step + 1e-6) + 1) * step).astype(int)
    power = np.add.reduceat(np.append(samples.astype(np.float64) ** 2, 0), edges)[:-1] / np.diff(edges)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-6)))


def survey(subject: Subject, tell: Callable[[int, int], None] = lambda done, total: None) -> Survey:
    """Open everything a method may ask for.

    :param tell: hears (frames read, all frames)
    :raises DataError: at the first file that is missing or broken
    """
    _ = subject.background, subject.audio_features, subject.action_units
    if any((subject.root / name).exists() for name in ("coefficients.npz", "3dmm.pt")):
        _ = subject.coefficients
    ids = sorted(subject.ids)
    rows: list[tuple[NDArray[np.int64], int, float, NDArray[np.float32]]] = []
    for first in range(0, len(ids), _BATCH):
        rows += threads.each(lambda i: _row(subject.frame(i)), ids[first : first + _BATCH])
        tell(len(rows), len(ids))
    counts, mouth, inside, points = zip(*rows, strict=True)
    cameras = [subject.camera(i) for i in ids]
    return Survey(
        subject,
        np.array(ids),
        np.stack(counts),
        np.array(mouth),
        np.array(inside),
        np.stack(points).astype(np.float64),
        np.stack([camera.viewmat for camera in cameras]).astype(np.float64),
        np.stack([camera.K for camera in cameras]).astype(np.float64),
    )


def _row(frame: Frame) -> tuple[NDArray[np.int64], int, float, NDArray[np.float32]]:
    _ = frame.image
    counts = np.bincount(frame.labels.ravel(), minlength=classes.CLASSES)[: classes.CLASSES]
    mouth = classes.mouth(frame.labels, frame.teeth)
    face = classes.face(frame.labels, ears=True) | mouth
    height, width = face.shape
    column, row = np.round(frame.landmarks[_INNER]).astype(int).T
    within = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    hit = np.zeros(len(column), bool)
    hit[within] = face[row[within], column[within]]
    return counts, int(mouth.sum()), float(hit.mean()), frame.landmarks
