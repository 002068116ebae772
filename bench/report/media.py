"""Decides what travels inside the page: everything, as base64, while it is small; else it lies in a folder beside the page."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from bench.errors import DataError
from bench.paths import atomic_folder
from bench.video import read_audio

LIMIT = 12 * 2**20
"""Bytes of video and pictures that a page may hold; with more, it would open too slowly."""
WAVE_BINS = 500


@dataclass(frozen=True)
class Shelf:
    """The media of a page."""

    names: Mapping[Path, str]
    """Every file, and what it is called in the folder beside the page."""
    folder: str
    """That folder as the page sees it."""
    embedded: bool
    bytes: int

    @classmethod
    def of(cls, names: Mapping[Path, str], folder: str = "media", limit: int | None = None) -> Shelf:
        """Embed if all files together have no more than ``limit`` bytes (``LIMIT``)."""
        total = sum(file.stat().st_size for file in names)
        return cls(names, folder, total <= (LIMIT if limit is None else limit), total)

    @property
    def megabytes(self) -> str:
        """Total size for people."""
        return f"{self.bytes / 2**20:.1f} MB"

    def href(self, file: Path) -> str:
        """Link from the page to a file; an embedded one goes by it, too."""
        return f"{self.folder}/{quote(self.names[file])}"

    def picture(self, file: Path) -> str:
        """What goes into the ``src`` of an image."""
        return f"data:image/jpeg;base64,{encode(file)}" if self.embedded else self.href(file)

    def place(self, folder: Path) -> None:
        """Fill ``folder`` with the files, as links to the same data where the disk can; none if they are embedded."""
        if self.embedded:
            shutil.rmtree(folder, ignore_errors=True)
            return
        with atomic_folder(folder) as fresh:
            for file, name in self.names.items():
                try:
                    os.link(file, fresh / name)
                except OSError:  # another disk, or one without such links
                    shutil.copyfile(file, fresh / name)


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
