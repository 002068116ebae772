"""Step *sound*: the video's sound as ``aud.wav``, 16 kHz mono 16 bit, as long as the frames."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from bench.audio import RATE
from bench.errors import DataError
from bench.paths import atomic_file
from bench.prepare.frames import FPS, broken
from bench.prepare.steps import Job, Made, Step


def read(path: Path) -> tuple[NDArray[np.int16], float]:
    """(samples at 16 kHz, mono; seconds by which they start after the first frame, negative if before).

    Raises:
        DataError: no sound, or unreadable.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise DataError(f"{path}: no sound in it; sound drives the faces, so give a video that has it")
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            start: float | None = None
            chunks: list[NDArray[np.int16]] = []
            for frame in (*container.decode(stream), None):  # None empties the resampler
                start = frame.time if start is None and frame is not None else start
                chunks += [piece.to_ndarray()[0].astype(np.int16) for piece in resampler.resample(frame)]
            video = container.streams.video[0]
            first = float((video.start_time or 0) * (video.time_base or 0))
    except av.FFmpegError as error:
        raise broken(path, error) from error
    if not chunks:
        raise DataError(f"{path}: its sound track is empty; give a video with sound")
    return np.concatenate(chunks), (start or first) - first


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


STEP = Step("sound", run, ("aud.wav",), needs=("frames",))
