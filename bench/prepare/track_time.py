"""Poses of all frames, given the points and the lens: each frame's own fit, held together by what heads can do.

Second differences of rotation and shift cost something, and the whole clip is solved at once: a system with 13 bands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import median_filter
from scipy.spatial.transform import Rotation

from bench.prepare.track_model import Array, Lens, Motion, derivatives, misses, pieces, predict
from bench.prepare.track_solve import noise, weights

Mask = NDArray[np.bool_]

WITNESSES = 6
"""As many independent points a frame is worth: FaceMesh moves neighbouring points together."""
_STIFFNESS = (*3 * (np.radians(0.6),), 0.0015, 0.0015, 0.003)
"""Deviations of the second differences per frame²: turning about the camera's axes, shift aside, up, and in depth. At FaceMesh's
usual noise (0.25 px at 256) they leave a nod of ±8° at 2 Hz 96 % of its height (0.4°: 90 %) and a fifth of the jitter."""
_ROUNDS = 8
_BANDS = 13
_SECOND = (1.0, -2.0, 1.0)
_JUMP = np.radians(6.0)
_WINDOW = 9


def strays(motion: Motion) -> Mask:
    """[T] frames whose pose is far (> 6° or > 6 deviations of what is usual) from the median of the nine around them.

    A detector that jumps for up to four frames; a fast nod is slower (±10° at 2 Hz stay within 5°).
    """
    mean = Rotation.from_matrix(motion.rotation).mean()
    turn = (Rotation.from_matrix(motion.rotation) * mean.inv()).as_rotvec()
    away = np.linalg.norm(turn - median_filter(turn, size=(_WINDOW, 1), mode="mirror"), axis=1)
    return away > max(_JUMP, 6 * 1.4826 * float(np.median(away)))


def smooth(seen: Array, motion: Motion, shape: Array, lens: Lens, stiff: bool = True) -> tuple[Motion, Mask]:
    """(poses of all frames, [T] frames left out) from observations [T,P,3] and first guesses.

    Frames left out (:func:`strays`) take their pose from their neighbours. ``stiff=False``: each frame on its own.
    """
    for _ in range(_ROUNDS):
        sigma = noise(misses(seen, motion, shape, lens))
        own, slope = _normal(seen, motion, shape, lens, sigma)
        step = np.linalg.solve(own + 1e-9 * np.eye(6), slope[..., None])[..., 0]
        motion = motion.moved(step)
        if np.abs(step).max() < 1e-6:
            break
    left_out = strays(motion)
    if not stiff or len(seen) < len(_SECOND):
        return motion, left_out
    motion = _bridge(motion, left_out)
    for _ in range(_ROUNDS):
        step = _together(seen, motion, shape, lens, sigma, left_out)
        motion = motion.moved(step)
        if np.abs(step).max() < 1e-6:
            break
    return motion, left_out


def _normal(seen: Array, motion: Motion, shape: Array, lens: Lens, sigma: float) -> tuple[Array, Array]:
    """([T,6,6] systems, [T,6] slopes) of each frame's own fit; some frames at a time, so that memory is bounded."""
    own, slope = np.empty((len(seen), 6, 6)), np.empty((len(seen), 6))
    for part in pieces(len(seen)):
        rest = seen[part] - predict(motion.at(part), shape, lens)
        by_pose = derivatives(motion.at(part), shape, lens)[0]
        scaled = by_pose * weights(np.linalg.norm(rest, axis=-1), sigma)[..., None, None]
        count = len(rest)
        own[part] = scaled.reshape(count, -1, 6).transpose(0, 2, 1) @ by_pose.reshape(count, -1, 6)
        slope[part] = (scaled * rest[..., None]).sum((1, 2))
    return own, slope


def _together(seen: Array, motion: Motion, shape: Array, lens: Lens, sigma: float, left_out: Mask) -> Array:
    """[T,6] step of all frames at once."""
    own, slope = _normal(seen, motion, shape, lens, sigma)
    share = min(1.0, WITNESSES / seen.shape[1]) * ~left_out
    own, slope = own * share[:, None, None], slope * share[:, None]
    bent = bends(motion)
    stiffness = 1 / np.square(_STIFFNESS)
    frames = len(seen)
    for k, factor in enumerate(_SECOND):
        slope[k : frames - 2 + k] -= factor * stiffness * bent
    bands = np.zeros((_BANDS, 6 * frames))  # lower form: bands[i - j, j]
    for row in range(6):
        for column in range(row + 1):
            bands[row - column, column::6] = own[:, row, column]
    second = np.zeros((3, frames))  # diagonals of DᵀD, D the second differences
    for a, left in enumerate(_SECOND):
        for b, right in enumerate(_SECOND[a:]):
            second[b, a : frames - 2 + a] += left * right
    for apart in range(3):
        for axis in range(6):
            bands[6 * apart, axis::6] += second[apart] * stiffness[axis]
    return solveh_banded(bands, slope.ravel(), lower=True).reshape(frames, 6)


def bends(motion: Motion) -> Array:
    """[T-2,6] second differences: of turning, in camera axes, and of the shift."""
    turn = (Rotation.from_matrix(motion.rotation[1:]) * Rotation.from_matrix(motion.rotation[:-1]).inv()).as_rotvec()
    return np.concatenate([np.diff(turn, axis=0), np.diff(motion.shift, n=2, axis=0)], 1)


def _bridge(motion: Motion, left_out: Mask) -> Motion:
    """Poses left out become the next kept frame's: a start for the solver."""
    kept = np.flatnonzero(~left_out)
    if not len(kept) or not left_out.any():
        return motion
    after = np.searchsorted(kept, np.arange(len(left_out))).clip(max=len(kept) - 1)
    return motion.at(kept[after])
