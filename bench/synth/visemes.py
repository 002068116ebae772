"""From phoneme times to mouth coefficients: every sound pulls the mouth towards its shape, neighbours share the pull.

After Cohen and Massaro's dominance functions: a sound's pull fades on both sides of its middle, lip closures pull hardest, so
the same sounds in the same company always give the same mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .assets import Floats
from .head import UNITS
from .speech import Phoneme


@dataclass(frozen=True)
class _Shape:
    """Target coefficients, strength of the pull, and reach beyond the sound itself (seconds)."""

    units: dict[str, float]
    pull: float = 1.0
    reach: float = 0.055


def _vowel(jaw: float, **units: float) -> _Shape:
    return _Shape({"jawOpen": jaw, **units}, pull=1.0, reach=0.060)


def _consonant(jaw: float, pull: float = 0.8, **units: float) -> _Shape:
    return _Shape({"jawOpen": jaw, **units}, pull=pull, reach=0.040)


_CLOSED = _Shape(
    {"jawOpen": 0.03, "mouthClose": 0.08, "mouthPress": 0.30, "mouthRollLower": 0.12, "mouthRollUpper": 0.06},
    6.0,
    0.030,
)
_LIP_TEETH = _Shape(
    {"jawOpen": 0.07, "mouthRollLower": 0.42, "mouthUpperUp": 0.28, "mouthShrugLower": 0.10}, 3.0, 0.032
)
_TONGUE_TIP = _consonant(0.11, mouthStretch=0.12, mouthLowerDown=0.26, mouthUpperUp=0.14)
_HISS = _consonant(0.06, 1.1, mouthStretch=0.24, mouthLowerDown=0.34, mouthUpperUp=0.22, mouthSmile=0.08)
_HUSH = _consonant(0.09, 1.4, mouthFunnel=0.55, mouthPucker=0.22, mouthUpperUp=0.18, mouthLowerDown=0.20)
_BACK = _consonant(0.18, 0.5, mouthLowerDown=0.14, mouthUpperUp=0.06)
_ROUND = _Shape({"jawOpen": 0.10, "mouthFunnel": 0.22, "mouthPucker": 0.80}, 1.6, 0.055)
_SPREAD = _vowel(0.13, mouthSmile=0.30, mouthStretch=0.30, mouthLowerDown=0.26, mouthUpperUp=0.14)
_SHORT_I = _vowel(0.17, mouthSmile=0.16, mouthStretch=0.20, mouthLowerDown=0.22, mouthUpperUp=0.10)
_MID = _vowel(0.26, mouthLowerDown=0.18, mouthUpperUp=0.10)
_WIDE = _vowel(0.44, mouthLowerDown=0.24, mouthUpperUp=0.16, mouthStretch=0.10)

_SHAPES = {
    **dict.fromkeys("pbm", _CLOSED),
    **dict.fromkeys("fv", _LIP_TEETH),
    **dict.fromkeys("θð", _consonant(0.15, 1.2, tongueOut=0.40, mouthLowerDown=0.28, mouthUpperUp=0.16)),
    **dict.fromkeys("tdnlɾr", _TONGUE_TIP),
    **dict.fromkeys("sz", _HISS),
    **dict.fromkeys("ʃʒ", _HUSH),
    **dict.fromkeys("kɡŋxhʔ", _BACK),
    "ɹ": _consonant(0.13, 1.0, mouthFunnel=0.36, mouthPucker=0.28),
    "w": _ROUND,
    "u": _ROUND,
    "ʉ": _ROUND,
    "ʊ": _vowel(0.17, mouthFunnel=0.34, mouthPucker=0.42),
    "o": _vowel(0.28, mouthFunnel=0.42, mouthPucker=0.34),
    "ɔ": _vowel(0.36, mouthFunnel=0.46, mouthPucker=0.14),
    "ɜ": _vowel(0.21, mouthFunnel=0.26, mouthPucker=0.14, mouthLowerDown=0.12),
    "ɚ": _vowel(0.20, mouthFunnel=0.28, mouthPucker=0.16, mouthLowerDown=0.12),
    **dict.fromkeys("ɑɒ", _vowel(0.48, mouthLowerDown=0.20, mouthUpperUp=0.10)),
    **dict.fromkeys("aæ", _WIDE),
    **dict.fromkeys("ɛe", _vowel(0.32, mouthStretch=0.18, mouthLowerDown=0.26, mouthUpperUp=0.14)),
    **dict.fromkeys("ʌɐ", _MID),
    "ə": _vowel(0.21, mouthLowerDown=0.16, mouthUpperUp=0.08),
    **dict.fromkeys("ɪᵻ", _SHORT_I),
    **dict.fromkeys("ij", _SPREAD),
}
_REST = _Shape({}, pull=1.0, reach=0.06)
_GAP = 0.05  # seconds of silence that count as a pause


def mouth(phonemes: list[Phoneme], times: Floats, seconds: float) -> Floats:
    """Mouth coefficients [T,52] at ``times`` [T] (seconds)."""
    sounds = _sounds(phonemes, seconds)
    middle = np.array([(start + end) / 2 for start, end, _ in sounds])
    reach = np.array([shape.reach + 0.42 * (end - start) for start, end, shape in sounds])
    pull = np.array([shape.pull for _, _, shape in sounds])
    targets = np.stack([_vector(shape) for _, _, shape in sounds])
    strength = pull * np.exp(-((np.abs(times[:, None] - middle) / reach) ** 1.6))
    return np.asarray(strength @ targets / (strength.sum(axis=1, keepdims=True) + 1e-9))


def _sounds(phonemes: list[Phoneme], seconds: float) -> list[tuple[float, float, _Shape]]:
    """Every single sound (diphthongs and merged symbols split evenly) and the rests between, in order."""
    out: list[tuple[float, float, _Shape]] = []
    now = 0.0
    for p in [*phonemes, Phoneme(seconds, seconds, "", "")]:
        if p.start - now > _GAP:
            # A pause holds the rest shape along its whole length.
            count = max(1, round((p.start - now) / 0.12))
            edges = np.linspace(now, p.start, count + 1)
            out += [(float(a), float(b), _REST) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        shapes = [_SHAPES[symbol] for symbol in p.phoneme if symbol in _SHAPES]
        width = (p.end - p.start) / max(len(shapes), 1)
        out += [(p.start + k * width, p.start + (k + 1) * width, shape) for k, shape in enumerate(shapes)]
        now = p.end
    return out


def _vector(shape: _Shape) -> Floats:
    """Coefficients [52]; a name without side sets both sides."""
    out = np.zeros(len(UNITS))
    for name, value in shape.units.items():
        columns = [k for k, unit in enumerate(UNITS) if unit in (name, f"{name}Left", f"{name}Right")]
        out[columns] = value
    return out
