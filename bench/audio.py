"""Audio features in the field's shape: one window of 16 feature rows (50 rows a second) per 25-fps video frame.

Files of other encoders' features are one of :data:`KINDS`. The built-in kind is ``mel``: log-mel rows laid out as the
official scripts lay out DeepSpeech logits (spec_degstalk §2.8: 8 zero rows at both ends, windows of 16 rows, stride 2), so
that the methods' audio nets take them unchanged. It needs no model.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

RATE = 16_000
ROWS_PER_SECOND = 50
MEL_BANDS = 32
WINDOW_ROWS = 16
_FFT = 512
_HOP, _WIDTH = RATE // ROWS_PER_SECOND, RATE // 40
"""Samples from row to row, and in a row."""
_CHUNK = 3000
"""Rows (a minute) whose spectra are held at a time."""


@dataclass(frozen=True)
class Kind:
    """One sort of audio features, one row of windows a 25-fps frame."""

    key: str
    name: str
    window: tuple[int, ...]
    """Shape of a row; the file is [T, *window]."""
    repeated: int = 0
    """How often the loader repeats the first and the last row of what the encoder gives."""

    @property
    def file(self) -> str:
        """Its file's name in a subject folder."""
        return f"aud_{self.key}.npy"

    @property
    def shape(self) -> str:
        """For messages."""
        return f"[T, {', '.join(map(str, self.window))}]"


KINDS = (
    Kind("ds", "DeepSpeech", (16, 29)),
    Kind("hu", "HuBERT", (2, 1024)),
    Kind("eo", "Esperanto", (16, 44)),
    # A window of AVE is 0.2 s long and stands for its middle: SyncTalk's loader puts two rows before and after.
    Kind("ave", "AVE", (1, 512), repeated=2),
)
"""Features that come in files (spec_degstalk §2.8, spec_ernerf §2, spec_synctalk §2.5); of several in a folder the first counts."""


def read_wav(path: Path) -> NDArray[np.float32]:
    """Samples in [-1, 1] of a 16 kHz mono PCM16 wav.

    Raises:
        DataError: the file is missing, broken, or has another rate, width or number of channels.
    """
    try:
        with wave.open(str(path), "rb") as sound:
            form = (sound.getframerate(), sound.getnchannels(), sound.getsampwidth())
            data = sound.readframes(sound.getnframes())
        if form != (RATE, 1, 2):
            found = f"{form[0]} Hz, {form[1]} channels, {8 * form[2]} bit"
            raise DataError(f"{path}: {found}; expected 16000 Hz mono 16 bit")
        return np.frombuffer(data, np.int16).astype(np.float32) / 32768.0
    except (OSError, EOFError, ValueError, RuntimeError, wave.Error) as error:  # the last but one: a chunk too long
        raise DataError(f"{path}: not a readable wav ({error}); make it with `bench data prepare`") from error


def _mel_filters(bands: int) -> NDArray[np.float32]:
    """[bands, _FFT//2+1] triangular filters, 60–7600 Hz, HTK mel scale."""
    mel = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.linspace(0, RATE / 2, _FFT // 2 + 1)
    rise = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


def _energy(padded: NDArray[np.float32], rows: NDArray[np.intp], bands: int) -> NDArray[np.float64]:
    """[rows, bands] logarithms of the bands' power in those rows."""
    frames = padded[_HOP * rows[:, None] + np.arange(_WIDTH)] * np.hanning(_WIDTH).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, _FFT)) ** 2
    energy: NDArray[np.float64] = np.log(power @ _mel_filters(bands).T + 1e-6)
    return energy


def log_mel(samples: NDArray[np.float32], bands: int = MEL_BANDS) -> NDArray[np.float32]:
    """[rows, bands] log-mel energies at 50 rows a second, each band standardised over the whole sound.

    25 ms Hann windows, 20 ms hop, 512-point FFT. A band that never changes is 0.
    """
    rows = max(1, round(len(samples) / _HOP))
    padded = np.pad(samples, (_WIDTH // 2, _WIDTH + _HOP))
    energy = np.concatenate(
        [_energy(padded, np.arange(k, min(k + _CHUNK, rows)), bands) for k in range(0, rows, _CHUNK)]
    )
    spread = energy.std(0)
    return ((energy - energy.mean(0)) / np.where(spread > 1e-6, spread, np.inf)).astype(np.float32)


def windows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """[T, 16, C] windows from [2T, C] rows: 8 zero rows before and after, stride 2."""
    padded = np.pad(rows, ((WINDOW_ROWS // 2, WINDOW_ROWS // 2), (0, 0)))
    count = (len(rows) + 1) // 2
    index = 2 * np.arange(count)[:, None] + np.arange(WINDOW_ROWS)
    return padded[np.minimum(index, len(padded) - 1)]


def neighbourhood(features: NDArray[np.float32], index: int) -> NDArray[np.float32]:
    """[8, C, L] windows index-4 … index+3 of [T, L, C] features, zero-filled outside (spec_degstalk §2.8)."""
    out = np.zeros((8, *features.shape[1:]), np.float32)
    first = index - 4
    low, high = max(first, 0), min(first + 8, len(features))
    if low < high:
        out[low - first : high - first] = features[low:high]
    return np.ascontiguousarray(out.transpose(0, 2, 1))
