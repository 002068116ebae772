"""Step *sound*: the video's sound as ``aud.wav``, 16 kHz mono 16 bit, as long as the frames."""

from __future__ import annotations

import wave
from itertools import chain
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from bench.audio import RATE
from bench.errors import DataError
from bench.paths import atomic_file
from bench.prepare import source
from bench.prepare.rate import FPS
from bench.prepare.steps import Job, Made, Options, Step

_SILENT = 10 ** (-60 / 20) * 32767
"""Sound that never gets louder is none."""


def read(path: Path) -> tuple[NDArray[np.int16], float]:
    """(samples at 16 kHz, mono; seconds by which they start after the first frame, negative if before).

    Raises:
        DataError: no sound, silence, or unreadable.
    """
    first = source.start(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise DataError(f"{path}: no sound in it; sound drives the faces, so give a video that has it")
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            start: float | None = None
            chunks: list[NDArray[np.int16]] = []
            for frame in chain(container.decode(stream), (None,)):  # None empties the resampler
                start = frame.time if start is None and frame is not None else start
                chunks += [piece.to_ndarray()[0].astype(np.int16) for piece in resampler.resample(frame)]
    except av.FFmpegError as error:
        raise source.broken(path, error) from error
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
    if max(samples.max(initial=0), -int(samples.min(initial=0))) < _SILENT:
        raise DataError(f"{path}: its sound track is silent (never above −60 dB); give a video with its sound")
    return samples, (first if start is None else start) - first


def fit(samples: NDArray[np.int16], late: float, length: int) -> NDArray[np.int16]:
    """Exactly ``length`` samples from the first frame on: cut at both ends or filled with silence."""
    shift = round(late * RATE)
    samples = np.pad(samples, (shift, 0)) if shift > 0 else samples[-shift:]
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def run(job: Job) -> Made:
    """Resample and write the sound."""
    samples, late = read(job.options.video)
    length = job.frames * RATE // FPS
    missing = length - len(samples) - round(late * RATE)
    with atomic_file(job.root / "aud.wav") as temporary, wave.open(str(temporary), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(fit(samples, late, length).tobytes())
    filled = f", last {missing / RATE:.2f} s filled with silence" if missing > RATE // FPS else ""
    text = f"{length / RATE:.2f} s at 16 kHz mono{filled}"
    return Made(text, {"aud.wav": f"sound of {job.options.video.name}, {text}"})


def _inputs(options: Options) -> dict[str, object]:
    return {"video": options.video}


STEP = Step("sound", run, ("aud.wav",), needs=("frames",), inputs=_inputs)
