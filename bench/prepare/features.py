"""Step *features*: audio features that the user has, taken into the subject folder as the field's loaders name them.

``--features aud_ds.npy`` and the like; without it methods compute log-mel windows from ``aud.wav`` (:mod:`bench.audio`).
Which features there are: :data:`bench.audio.KINDS`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import arrays
from bench.audio import KINDS, Kind
from bench.errors import DataError
from bench.paths import atomic_file
from bench.prepare.steps import Job, Made, Options, Step

_SPARE = 2
"""Rows that may lack or be over at the end, in frames: features follow the sound, whose length differs a little."""


def kind_of(path: Path, shape: tuple[int, ...]) -> Kind:
    """What a file of this shape holds; [T, 512] counts as AVE, since SyncTalk's encoder gives it so.

    Raises:
        DataError: none of the known ones.
    """
    window = (1, *shape[1:]) if len(shape) == 2 else shape[1:]
    for kind in KINDS:
        if window == kind.window:
            return kind
    known = ", ".join(f"{kind.name} {kind.shape}" for kind in KINDS)
    raise DataError(f"{path}: shape {list(shape)} is none of the known features ({known})")


def _opened(path: Path) -> NDArray[np.generic]:
    """The array of a .npy, its numbers still on disk."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; --features takes {' or '.join(k.file for k in KINDS)}")
    try:
        rows = arrays.array(path, "r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a plain .npy array ({error})") from error
    if rows.dtype.kind not in "fiu":
        raise DataError(f"{path}: not one array of numbers; --features takes a .npy")
    return rows


def check(options: Options) -> None:
    """What can be said of ``--features`` before any work. Raises as :func:`read`, but for the length."""
    if (path := options.features) is not None:
        kind_of(path, _opened(path).shape)


def read(path: Path, frames: int) -> tuple[Kind, NDArray[np.float32]]:
    """(kind, rows [T, …], row k for frame k) of a file for so many frames.

    A row or two too few at the end are filled with the last, as the sound may end a little before the pictures. AVE rows
    as the encoder gives them (3 fewer than frames) get the loader's repeated ends; with these already in, they stay.

    Raises:
        DataError: missing, not plain numbers, of no known shape, or for a video of another length or rate.
    """
    stored = _opened(path)
    kind = kind_of(path, stored.shape)
    rows: NDArray[np.float32] = stored.reshape(len(stored), *kind.window).astype(np.float32, copy=False)
    if not np.isfinite(rows).all():
        raise DataError(f"{path}: holds infinite or missing values; extract the features again")
    if kind.repeated and _SPARE <= frames - len(rows) <= _SPARE + 2:
        rows = np.concatenate([rows[:1]] * kind.repeated + [rows] + [rows[-1:]] * kind.repeated)
    if abs(len(rows) - frames) > _SPARE:
        raise DataError(f"{path}: {len(rows)} rows, {_lengths(len(rows), frames)}")
    lacking = frames - len(rows)
    if lacking > 0:
        rows = np.concatenate([rows, np.repeat(rows[-1:], lacking, axis=0)])
    return kind, rows[:frames]


def _lengths(rows: int, frames: int) -> str:
    if abs(rows - 2 * frames) <= 2 * _SPARE:
        return f"twice the {frames} frames: these are 50 a second; the loaders want one window a frame at 25 fps"
    return (
        f"the video has {frames} frames at 25 fps; extract them from this video's sound (aud.wav in the subject folder)"
    )


def run(job: Job) -> Made:
    """Check and copy, or say that there is nothing to do."""
    path = job.options.features
    if path is None:
        return Made("log-mel, computed from aud.wav when it is needed")
    kind, rows = read(path, job.frames)
    with atomic_file(job.root / kind.file) as temporary:
        np.save(temporary, rows)
    text = f"{kind.name} {list(rows.shape)} from {path.name}"
    return Made(text, {kind.file: text}, {"audio_features": kind.name})


def _inputs(options: Options) -> dict[str, object]:
    return {"features": options.features}


STEP = Step("features", run, tuple(kind.file for kind in KINDS), needs=("frames",), inputs=_inputs)
