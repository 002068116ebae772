"""The sound that drives: decoded, checked, and made the features that a checkpoint was trained with."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from bench import arrays, audio, video
from bench.audio import RATE, Kind
from bench.errors import AbsentError, BenchWarning, DataError, UsageError

FPS = 25
"""Feature windows a second, of all kinds."""
SHORTEST = 8
"""Frames (0.32 s): the windows that a method hears at once."""
SILENT = 1e-3
"""Of full scale (−60 dB): a sound that never gets louder is silence."""
ROUGH = 4.0
"""Seconds. Mel bands are standardised over the whole sound; cut out of an embedded subject's speech, 4 s are 0.1 standard
deviations off what they are within the whole, 2 s 0.2–0.3, 0.32 s 0.7 (``python benchmarks/drive.py``)."""


@dataclass(frozen=True, eq=False)
class Speech:
    """A sound that drives from frame ``first`` on."""

    path: Path
    kind: str
    """``mel``, or a key of :data:`bench.audio.KINDS`."""
    features: NDArray[np.float32]
    """[T,L,C] windows of the whole sound; row k is heard from k/25 s on."""
    first: int
    frames: int
    """Video frames from ``first`` to the sound's end, in whole frames."""

    @contextmanager
    def heard(self) -> Iterator[Path]:
        """A file with the sound from ``first`` on, for as long as the context."""
        if not self.first:
            yield self.path
            return
        rate = video.PREVIEW_SAMPLE_RATE
        samples = video.read_audio(self.path, rate)[round(self.first * rate / FPS) :]
        with TemporaryDirectory(prefix="bench-") as folder:
            cut = Path(folder) / "heard.wav"
            video.write_audio(cut, samples, rate)
            yield cut


def listen(path: Path, kind: str, *, start: float = 0.0, features: Path | None = None) -> Speech:
    """Decode a sound, or a video's, of any format and rate that FFmpeg reads, and find its features.

    Args:
        kind: ``mel``, which is computed here, or one of :data:`bench.audio.KINDS`, whose models are not here: ``features`` is needed.
        start: seconds of the sound to leave out, rounded to whole frames. Features are those of the whole sound.
        features: ``.npy`` [T,L,C] of this whole sound, one window each 1/25 s.

    Raises:
        DataError: no sound there, or silent, too short, sampled too low for ``mel``; features of another kind, rate or length.
        UsageError: ``start`` is out of the sound, or ``features`` given for ``mel``.
        AbsentError: ``features`` is needed.
    """
    samples = video.read_audio(path, RATE)
    frames = round(len(samples) * FPS / RATE)
    _check(path, samples, frames)
    if not 0 <= start <= frames / FPS or (first := round(start * FPS)) == frames:
        raise UsageError(f"--start {start:g}: {path} ends at {frames / FPS:.2f} s")
    if np.abs(samples[first * RATE // FPS :]).max() < SILENT:
        warnings.warn(f"{path}: silent from {first / FPS:.2f} s on (never above −60 dB)", BenchWarning, stacklevel=2)
    if kind == "mel":
        rows = _mel(path, samples, features)
    else:
        rows = _given(path, _known(kind), frames, features)
    return Speech(path, kind, rows, first, frames - first)


def _check(path: Path, samples: NDArray[np.float32], frames: int) -> None:
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: holds samples that aren't finite: export the sound again")
    if frames < SHORTEST:
        seconds = len(samples) / RATE
        raise DataError(f"{path}: lasts {seconds:.2f} s; at least {SHORTEST / FPS} s are needed ({SHORTEST} frames)")
    if np.abs(samples).max() < SILENT:
        raise DataError(f"{path}: silent (never above −60 dB): check the recording, or which track holds the voice")


def _mel(path: Path, samples: NDArray[np.float32], features: Path | None) -> NDArray[np.float32]:
    if features is not None:
        raise UsageError(
            "--features: the checkpoint was trained with mel, which is computed from the sound; leave it out"
        )
    if (rate := _rate(path)) < RATE:
        raise DataError(
            f"{path}: sampled at {rate} Hz, so nothing is in it above {rate // 2} Hz; mel features need {RATE} Hz or more: "
            "use a recording with a higher rate"
        )
    if len(samples) < ROUGH * RATE:
        warnings.warn(
            f"{path} lasts {len(samples) / RATE:.2f} s: features are standardised over the whole sound, which is rough below "
            f"{ROUGH:g} s; give a longer one, with --start at what is to be said",
            BenchWarning,
            stacklevel=3,
        )
    return audio.windows(audio.log_mel(samples))


def _rate(path: Path) -> int:
    """Sampling rate in the file, in Hz. The file has been decoded before."""
    import av

    with av.open(str(path)) as container:
        return int(container.streams.audio[0].rate)


def _known(kind: str) -> Kind:
    for known in audio.KINDS:
        if known.key == kind:
            return known
    raise UsageError(f"the checkpoint was trained with audio features {kind!r}, which aren't known here")


def _given(sound: Path, kind: Kind, frames: int, path: Path | None) -> NDArray[np.float32]:
    """[T,L,C] rows of a features file for ``frames`` frames; one row more or less is the extractor's rounding."""
    wanted = f"{kind.name} features, {kind.shape} at {FPS} windows a second"
    if path is None:
        raise AbsentError(
            f"the checkpoint was trained with {wanted}, whose model isn't part of talkbench: extract them from {sound} as "
            f"{kind.file} was for the subject, and give --features FILE.npy"
        )
    try:
        rows = arrays.array(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; --features takes {wanted}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a plain .npy array ({error}); --features takes {wanted}") from error
    if rows.dtype.kind not in "fiu" or rows.shape[1:] != kind.window:
        raise DataError(f"{path}: {rows.dtype} {list(rows.shape)}; the checkpoint was trained with {wanted}")
    if abs(len(rows) - frames) > 1:
        double = f" ({2 * FPS} a second?)" if abs(len(rows) - 2 * frames) <= 2 else ""
        raise DataError(
            f"{path}: {len(rows)} windows{double}, but {sound} lasts {frames} frames of 1/{FPS} s: extract them from this sound, "
            f"{FPS} a second"
        )
    rows = rows.astype(np.float32)
    if not np.isfinite(rows).all():
        raise DataError(f"{path}: holds values that aren't finite; extract the features again")
    return np.concatenate([rows, np.repeat(rows[-1:], max(frames - len(rows), 0), axis=0)])
