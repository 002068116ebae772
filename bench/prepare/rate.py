"""Which frames of a video are shown at 0, 1/25, 2/25 … seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FPS = 25
LEAST = 11
"""Fewer frames leave no test frame."""
_DOUBLED = 0.05
"""Grey levels: a thumbnail that differs less from the one before may be the same picture again."""
_TRUE_25 = 0.01
"""How far from 25 a second the frames may be that are left without the doubled ones."""
_DRIFT = 1.5 / FPS
"""How far from its instant a frame may be shown where the doubled ones are left out; seconds."""


def nearest(times: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each instant k/25 up to half a frame after the last, the frame nearest in time; the earlier of two as near."""
    count = int(np.ceil((times[-1] + 0.5 / FPS) * FPS - 1e-9)) if len(times) else 0
    instants = np.arange(count) / FPS
    after = np.searchsorted(times, instants).clip(1, max(len(times) - 1, 1))
    if len(times) < 2:
        return np.zeros(count, np.intp)
    closer = times[after] - instants < instants - times[after - 1] - 1e-9
    return np.where(closer, after, after - 1).astype(np.intp)


def doubled(times: NDArray[np.float64], change: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[N] frames that repeat the one before, singly, as in 25 fps stretched to 30; none where that isn't the pattern."""
    same = change < _DOUBLED
    lonely = same & ~np.append(False, same[:-1]) & ~np.append(same[1:], False)
    left = int((~lonely).sum())
    length = times[-1] + np.median(np.diff(times)) if len(times) > 1 else 0.0
    none, wanted = np.zeros(len(times), bool), max(float(length) * FPS, 1e-9)
    if abs(left - wanted) >= abs(len(times) - wanted) or abs(left / wanted - 1) > _TRUE_25:
        return none
    shown = times[~lonely]
    return none if np.abs(shown - np.arange(left) / FPS).max() > _DRIFT else lonely


def schedule(times: NDArray[np.float64], change: NDArray[np.float64]) -> NDArray[np.intp]:
    """[T] the frame shown at each 1/25 s.

    ``times``: [N] rising seconds, the first 0. ``change``: [N] the difference of each frame from the one before, grey levels.

    Nearest in time; but where a video holds 25 pictures a second with some shown twice, each picture once.
    """
    twice = doubled(times, change)
    return np.flatnonzero(~twice) if twice.any() else nearest(times)
