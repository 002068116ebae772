"""What the head does besides speaking: slow turns and nods, blinks, brow accents, eyes that stay on the viewer, trailing hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .assets import Floats
from .head import UNITS, Pose
from .speech import RATE, Speech
from .visemes import mouth

_LIMITS = np.radians([9.0, 5.0, 3.0])  # yaw, pitch, roll
_SHIFT = np.array([0.10, 0.05, 0.08])  # dm
_EYE_TURN = np.radians(24.0)  # eyeball turn of a full eyeLook unit
_HAIR_SPEED = 2 * np.pi * 1.5  # natural frequency of trailing hair, rad/s; critically damped, so it never swings back


@dataclass(frozen=True)
class Performance:
    """Coefficients [T,52] and poses of every frame."""

    coefficients: Floats
    poses: list[Pose]


def perform(speech: Speech, frames: int, fps: int, seed: int) -> Performance:
    """The whole animation of a subject, a function of its speech and seed."""
    rng = np.random.default_rng([seed, 3])
    times = (np.arange(frames) + 0.5) / fps
    energy = _loudness(speech, times)
    angles = np.stack([_drift(rng, times, limit) for limit in _LIMITS], axis=1)
    angles[:, 1] += np.radians(1.2) * (energy - 0.4)
    shift = np.stack([_drift(rng, times, limit) for limit in _SHIFT], axis=1)
    trailing = _trail(angles, fps)
    torso = 0.25 * _trail(shift, fps)
    out = mouth(speech.phonemes, times, len(speech.sound) / RATE)
    _express(out, rng, times, speech)
    _look(out, angles)
    poses = [Pose(*row) for row in zip(angles, trailing, shift, torso, strict=True)]
    return Performance(np.clip(out, 0, 1), poses)


def _drift(rng: np.random.Generator, times: Floats, limit: float) -> Floats:
    """A smooth wander [T] within ±``limit``: three slow sines, softly bounded."""
    rate = rng.uniform([0.07, 0.17, 0.32], [0.12, 0.26, 0.48])
    phase = rng.uniform(0, 2 * np.pi, 3)
    wave = (np.array([0.75, 0.55, 0.25]) * np.sin(2 * np.pi * rate * times[:, None] + phase)).sum(axis=1)
    return np.asarray(limit * np.tanh(wave))


def _loudness(speech: Speech, times: Floats) -> Floats:
    """Smoothed sound level [T] in 0…1."""
    square = np.concatenate([[0.0], np.cumsum(speech.sound.astype(np.float64) ** 2)])
    half = round(0.18 * RATE)
    centre = np.round(times * RATE).astype(int)
    low, high = np.clip(centre - half, 0, len(speech.sound)), np.clip(centre + half, 0, len(speech.sound))
    level = np.sqrt((square[high] - square[low]) / (2 * half))
    return np.asarray(level / max(float(level.max()), 1.0))


def _trail(values: Floats, fps: int, steps: int = 8) -> Floats:
    """``values`` [T,C] followed by a critically damped spring that starts at rest on them."""
    place, speed, out = values[0].copy(), np.zeros(values.shape[1]), [values[0]]
    dt = 1 / (fps * steps)
    for before, after in zip(values[:-1], values[1:], strict=True):
        for k in range(1, steps + 1):
            goal = before + (after - before) * k / steps
            speed = speed + dt * (_HAIR_SPEED**2 * (goal - place) - 2 * _HAIR_SPEED * speed)
            place = place + dt * speed
        out.append(place)
    return np.array(out)


def _express(out: Floats, rng: np.random.Generator, times: Floats, speech: Speech) -> None:
    """Add blinks, a friendly face at rest, and brow accents on some words to ``out`` [T,52]."""
    seconds = float(times[-1])
    moment = rng.uniform(0.5, 1.4)
    blink = np.zeros(len(times))
    while moment < seconds:
        blink = np.maximum(blink, _blink(times - moment, rng.uniform(0.9, 1.25)))
        moment += rng.uniform(2.0, 5.0)
    _add(out, "eyeBlink", blink)
    smile = 0.13 + 0.05 * np.sin(2 * np.pi * 0.11 * times + rng.uniform(0, 6))
    _add(out, "mouthSmile", smile)
    _add(out, "cheekSquint", 0.5 * smile)
    accents = np.zeros(len(times))
    for p in speech.phonemes:
        if p.end - p.start > 0.12 and rng.random() < 0.22:
            accents += np.exp(-(((times - p.start) / 0.22) ** 2))
    raised = np.minimum(accents, 1.0)
    _add(out, "browInnerUp", 0.10 + 0.40 * raised)
    _add(out, "browOuterUp", 0.05 + 0.34 * raised)
    _add(out, "eyeWide", (0.06 + 0.12 * raised) * (1 - blink))


def _blink(t: Floats, slowness: float) -> Floats:
    """Lid closure [T] in 0…1 around the moment it is shut: 70 ms down, 25 ms shut, 110 ms up, times ``slowness``."""
    down, shut, up = 0.070 * slowness, 0.025 * slowness, 0.110 * slowness
    closing = np.clip((t + down + shut / 2) / down, 0, 1)
    opening = np.clip((up + shut / 2 - t) / up, 0, 1)
    lid = np.minimum(closing, opening)
    return np.asarray(lid * lid * (3 - 2 * lid))


def _look(out: Floats, angles: Floats) -> None:
    """Keep the eyes near the viewer while the head turns."""
    turn, nod = 0.8 * angles[:, 0] / _EYE_TURN, 0.8 * angles[:, 1] / _EYE_TURN
    for name, value in (
        ("eyeLookInLeft", turn), ("eyeLookOutRight", turn), ("eyeLookOutLeft", -turn), ("eyeLookInRight", -turn),
        ("eyeLookUp", nod), ("eyeLookDown", -nod),
    ):  # fmt: skip
        _add(out, name, np.maximum(value, 0))


def _add(out: Floats, name: str, value: Floats) -> None:
    for k, unit in enumerate(UNITS):
        if unit in (name, f"{name}Left", f"{name}Right"):
            out[:, k] += value
