"""The sound that belongs to scored frames: a subject's, or that of a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import video
from bench.audio import RATE
from bench.subject import Subject


@contextmanager
def heard(sound: Path | None, subject: Subject | None, gt: Path | None, ids: Sequence[int]) -> Iterator[Path | None]:
    """The sound of the frames ``ids``, from the first one on: ``sound`` itself, the subject's, or a ground-truth video's."""
    if sound is None and subject is not None and tuple(ids) == tuple(subject.test_ids):
        with test_sound(subject) as cut:
            yield cut
    elif sound is None and gt is not None and gt.is_file() and video.probe(gt).has_audio:
        yield gt
    else:
        yield sound


@contextmanager
def test_sound(subject: Subject) -> Iterator[Path | None]:
    """A 16 kHz wav with the sound of the test frames, one after the other, for as long as the context; None without sound.

    The k-th test frame is heard from k/fps to (k+1)/fps seconds. Where the subject's sound ends early, silence follows.

    :raises bench.errors.DataError: the subject's sound can't be read
    """
    if subject.sound is None:
        yield None
        return
    edges = [tuple(round(i / subject.fps * RATE) for i in (number, number + 1)) for number in subject.test_ids]
    samples = video.read_audio(subject.sound, RATE)
    samples = np.pad(samples, (0, max(0, max(end for _, end in edges) - len(samples))))
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "test.wav"
        video.write_audio(path, np.concatenate([samples[begin:end] for begin, end in edges]), RATE)
        yield path
