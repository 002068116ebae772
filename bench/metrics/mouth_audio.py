"""Mouth–audio r: does the mouth open when the voice is loud? It needs the prediction and the sound, no ground truth.

It can't know a recording whose own sound is out of step: there, a prediction that is off by as much the other way scores better.
AD-NeRF's Obama video is one, with its sound 5 to 6 frames late. The ground truth's own value, which ``copy-gt`` gives, tells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench import video
from bench.audio import RATE
from bench.metrics.base import Metric, Scorer, Series, Settings, Undefined
from bench.metrics.batch import FULL, Batch, Values
from bench.metrics.correlation import correlation
from bench.metrics.landmark_distance import detector_of
from bench.metrics.motion import mouth_opening

WINDOW = 3
"""Frames that the loudness is averaged over, under a Hann window, 61 % of whose weight is in the middle one: one syllable's worth."""
QUIET = -40.0
"""dB below the loudest frame at which silence begins: how silent a silence is moves no mouth."""
STILL = 0.01
"""Standard deviation, in heights of the face, with which an opening is measured (a still mouth's is about 0.005)."""


def loudness(samples: NDArray[np.float32], fps: float, rate: int = RATE) -> Values:
    """How loud each frame is [T]: level in dB below the loudest frame, at least :data:`QUIET`.

    Frame k is heard from k/fps to (k+1)/fps seconds. Its level is ``10 log10`` of the mean squared sample under a Hann window of
    :data:`WINDOW` frames centred on the middle of that time; the window is cut off where the sound begins and ends.

    :param samples: float [S], mono, any scale
    :returns: float64 [T], T = S·fps/rate rounded; all 0 for silence

    >>> beep = np.sin(np.arange(16000) / 5) * (np.arange(16000) >= 8000)  # half a second of silence, half a second of tone
    >>> level = loudness(beep, 25.0)
    >>> len(level), float(level[5]), bool(level[18] > -0.1)
    (25, -40.0, True)
    """
    from scipy.signal import fftconvolve  # takes a second to load, and whoever names a measure imports this module

    centres = np.round((np.arange(round(len(samples) * fps / rate)) + 0.5) / fps * rate).astype(int)
    if not len(centres):
        return np.zeros(0)
    window = np.hanning(round(WINDOW / fps * rate) + 2)[1:-1]
    squares, there = np.square(samples, dtype=np.float64), np.ones(len(samples))
    power, weight = (fftconvolve(x, window, mode="same") for x in (squares, there))
    mean = (power / weight)[np.minimum(centres, len(samples) - 1)]
    if not mean.max() > 0:
        return np.zeros(len(centres))
    return np.asarray(10 * np.log10(np.maximum(mean / mean.max(), 10 ** (QUIET / 10))))


def _open(settings: Settings) -> Scorer:
    if settings.sound is None:
        raise Undefined("there is no sound: score a video or a subject that has it, or name it with --sound FILE")
    detector, named = detector_of(settings)
    level = loudness(video.read_audio(settings.sound, RATE), settings.fps)
    done = 0

    def per_frame(batch: Batch) -> Series:
        nonlocal done
        heard = level[done : done + len(batch)]
        done += len(batch)
        heard = np.pad(heard, (0, len(batch) - len(heard)), constant_values=np.nan)
        return {FULL: np.stack([mouth_opening(batch.points(detector)[0]), heard], axis=1)}

    how = (("pts", "62,66/27,8"), ("sound", f"db{QUIET:.0f}-hann{WINDOW}"), ("lag", "0"), ("noise", str(STILL)))
    return Scorer(per_frame, (named, *how))


METRIC = Metric(
    name="mouth-audio",
    label="Mouth-audio-r",
    unit="1",
    higher_is_better=True,
    definition="x: the distance of landmarks 62 and 66 divided by that of 27 and 8 in each predicted frame. y: the sound's level in dB "
    "(mean square at 16 kHz under a Hann window of 3 frames centred on the middle of the frame's time), not below -40 dB of the "
    "loudest frame's. Then cov(x,y) / sqrt((var x + 0.01^2) var y) over the frames with a face, without lag: Pearson's r with the "
    "noise of x taken into account. Speech itself gives 0.2 to 0.4 only: a value above copy-gt's says that the mouth follows "
    "loudness and little else.",
    source="talkbench; mouth opening against sound as in Chandrasekaran et al., PLoS Comput Biol 2009",
    version=1,
    open=_open,
    columns=("mouth", "loudness"),
    statistic=correlation(noise=STILL),
    aggregation="pearson",
    undefined="the sound is silent, or equally loud in all frames",
    may_skip=True,
)
