"""Checks of what must run along with the frames: sound, its features, the mouth; and of the split."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bench import audio
from bench.checks.finding import Finding, State, worst
from bench.checks.survey import Array, Survey

_SHORT, _LONG = 0.2, 1.0
"""Seconds by which sound may be shorter, and longer, than the frames."""
REACH = 12
"""Frames of lag that are tried to either side."""
_LATE = 3
"""Frames of lag, or of its change, above which a warning is given."""
_HEARD = 0.25
"""Correlation of voice and jaw below which no lag can be told."""
_SHORTEST = 75
"""Frames that a third must have for a lag to be told from chance."""


def sound(survey: Survey) -> Finding:
    """Length of sound and features against the frames."""
    subject = survey.subject
    frames = int(survey.ids[-1]) + 1
    found: list[tuple[State, str]] = []
    rows = len(subject.audio_features)
    if rows < frames - round(_SHORT * subject.fps):
        found.append(("fail", f"{subject.audio_kind} features of {rows} frames, the video has {frames}"))
    if subject.sound is None:
        found.append(("warn", "no aud.wav: no sync metrics, no sound in videos"))
        return worst("sound", found, "")
    length = len(audio.read_wav(subject.sound)) / audio.RATE
    late = length - frames / subject.fps
    if late < -_SHORT:
        found.append(("fail", f"the sound is {-late:.2f} s shorter than the video: it is not this video's"))
    elif late > _LONG:
        found.append(("warn", f"the sound is {late:.2f} s longer than the video"))
    if survey.loudness is not None and survey.loudness.max() < -45:
        found.append(("warn", f"the sound is silent (loudest frame {survey.loudness.max():.0f} dB)"))
    return worst(
        "sound", found, f"{length:.2f} s for {frames / subject.fps:.2f} s of video, {subject.audio_kind} features"
    )


def lag(loudness: Array, opening: Array, reach: int = REACH) -> tuple[int, float]:
    """(frames by which the mouth follows the sound, correlation at that lag) of two series [T].

    Positive: the mouth is late. Both are freed of their slow changes (3 s) first, so that head motion doesn't decide.
    """
    a, b = _sharp(np.maximum(loudness, -50)), _sharp(opening)
    scores = []
    for shift in range(-reach, reach + 1):
        first, second = (a[: len(a) - shift], b[shift:]) if shift >= 0 else (a[-shift:], b[:shift])
        scores.append(float((first * second).mean()))
    best = int(np.argmax(scores))
    return best - reach, scores[best]


def _sharp(series: Array) -> Array:
    fast = series - ndimage.uniform_filter1d(series, 75)
    return np.asarray(fast / max(float(fast.std()), 1e-9))


def drift(survey: Survey) -> Finding:
    """Does the jaw follow the voice, from beginning to end?"""
    if survey.voice is None:
        return Finding("lip drift", "warn", "not measured: no aud.wav")
    known = survey.ids < len(survey.voice)
    voice, chin = survey.voice[survey.ids[known]], survey.chin[known]
    third = len(voice) // 3
    if third < _SHORTEST:
        return Finding("lip drift", "ok", f"not measured: {len(voice)} frames are too few ({3 * _SHORTEST} are needed)")
    (first, sure), (last, sure_too) = (lag(voice[part], chin[part]) for part in (slice(third), slice(-third, None)))
    text = f"jaw {first:+d} frames from the voice in the first third, {last:+d} in the last (correlation {sure:.2f}, {sure_too:.2f})"
    if min(sure, sure_too) < _HEARD:
        return Finding("lip drift", "warn", f"{text}: too weak to tell; is this the speaker's own sound?")
    if abs(last - first) > _LATE:
        return Finding("lip drift", "warn", f"{text}: sound and video run apart")
    if max(abs(first), abs(last)) > _LATE:
        return Finding("lip drift", "warn", f"{text}: the sound is {'late' if first + last < 0 else 'early'}; shift it")
    return Finding("lip drift", "ok", text)


def split(survey: Survey) -> Finding:
    """The field's split: the first 10 of 11 frames train, the rest test, both without gaps."""
    train, test = np.array(survey.subject.train_ids), np.array(survey.subject.test_ids)
    text = f"{len(train)} train, {len(test)} test"
    found: list[tuple[State, str]] = []
    if not len(test):
        found.append(("fail", "no test frames"))
    elif (np.diff(train) != 1).any() or (np.diff(test) != 1).any() or test[0] <= train[-1]:
        found.append(("warn", f"{text}, but not one stretch after the other: statistics over time assume that"))
    elif len(train) != (len(train) + len(test)) * 10 // 11:
        found.append(("warn", f"{text}: the field trains on the first 10 of 11"))
    return worst("split", found, f"{text}, the first 10 of 11 train")
