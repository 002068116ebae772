"""Decides what travels inside the page: everything, as base64, while it is small; else links into the run folder."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from bench.errors import DataError
from bench.video import read_audio

LIMIT = 40 * 2**20
"""Bytes of video and pictures that a page may hold; with more, it would open too slowly."""
WAVE_BINS = 500


@dataclass(frozen=True)
class Shelf:
    """The media of a report."""

    run: Path
    embedded: bool
    bytes: int

    @classmethod
    def of(cls, run: Path, files: Iterable[Path]) -> Shelf:
        """Embed if all ``files`` together are small enough."""
        total = sum(file.stat().st_size for file in files)
        return cls(run, total <= LIMIT, total)

    @property
    def megabytes(self) -> str:
        """Total size for people."""
        return f"{self.bytes / 2**20:.1f} MB"

    def href(self, file: Path) -> str:
        """Link from ``report/index.html`` to a file of the run folder."""
        return "../" + quote(file.relative_to(self.run).as_posix())

    def picture(self, file: Path) -> str:
        """What goes into the ``src`` of an image."""
        return f"data:image/jpeg;base64,{encode(file)}" if self.embedded else self.href(file)


def encode(file: Path) -> str:
    """Base64 of a file."""
    return base64.b64encode(file.read_bytes()).decode("ascii")


def waveform(video: Path, seconds: float) -> str:
    """SVG path (1000 × 100 box) of the loudness of a video's sound; empty if it has none."""
    rate = 8000
    try:
        samples = read_audio(video, rate)
    except DataError:
        return ""
    length = max(int(seconds * rate), WAVE_BINS)
    samples = np.pad(samples[:length], (0, max(0, length - len(samples))))
    peaks = np.array([np.abs(part).max() for part in np.array_split(samples, WAVE_BINS)])
    heights = 48 * peaks / max(float(peaks.max()), 1e-6)
    steps = enumerate(heights)
    return "".join(f"M{1000 * (i + 0.5) / WAVE_BINS:.0f} {50 - h:.1f}v{2 * h:.1f}" for i, h in steps if h >= 0.5)
