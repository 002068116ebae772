"""Mel-frequency cepstral coefficients as SyncNet was trained on: 13 numbers, 100 times a second, of 16 kHz sound.

The conventions are those of the ``python_speech_features`` package (0.6) with its defaults, written anew: the package has had no
release since 2017, and nothing else of it is needed.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from bench.audio import RATE

WIDTH, STEP = RATE // 40, RATE // 100
"""Samples of a frame (25 ms) and from one to the next (10 ms)."""
FFT = 512
FILTERS = 26
COEFFICIENTS = 13
PREEMPHASIS = 0.97
LIFTER = 22
_TINY = np.finfo(np.float64).eps


def mfcc(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients [T, 13] of sound [S], with the frame's log energy in place of the first one.

    :param samples: 16 kHz mono on the scale of 16-bit PCM (-32768 … 32767): the energy depends on it
    :returns: T = 1 + ceil((S - 400) / 160) rows, at least 1; the last frame is filled with zeros

    Rectangular windows, power spectrum / 512, 26 triangular filters from 0 to 8000 Hz (HTK's mel scale, corners on whole bins),
    orthonormal DCT-II of the log energies, sine lifter of 22.
    """
    x = np.asarray(samples, np.float64)
    rows = 1 + max(0, -(-(len(x) - WIDTH) // STEP))
    x = np.concatenate([x[:1], x[1:] - PREEMPHASIS * x[:-1]])
    x = np.pad(x, (0, max(0, (rows - 1) * STEP + WIDTH - len(x))))
    frames = x[np.arange(rows)[:, None] * STEP + np.arange(WIDTH)]
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT
    bands = np.log(_positive(power @ _filters().T))
    lifter = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    found = dct(bands, type=2, norm="ortho")[:, :COEFFICIENTS] * lifter
    found[:, 0] = np.log(_positive(power.sum(axis=1)))
    return np.asarray(found)


def _positive(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(energy == 0, _TINY, energy)


@functools.cache
def _filters() -> NDArray[np.float64]:
    """[26, 257] triangles: each rises over its left neighbour's fall."""
    mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), FILTERS + 2)
    corners = np.floor((FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / RATE)
    left, top, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    bins = np.arange(FFT // 2 + 1)
    # A bin on the top belongs to the fall only, as in the package: 1 either way unless the rise is empty.
    rise, fall = (bins - left) / (top - left), (right - bins) / (right - top)
    return np.where((bins >= left) & (bins < top), rise, np.where((bins >= top) & (bins < right), fall, 0.0))
