"""From a video to a subject folder (docs/prepare.md): steps that need each other, each made once and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bench import locks
from bench.errors import DataError
from bench.paths import write_text
from bench.prepare import (
    coefficients,
    crop,
    features,
    fit,
    follow,
    frames,
    masks,
    mesh,
    parsers,
    parsing,
    plate,
    poses,
    rate,
    sheet,
    sound,
    source,
    track,
    units,
)
from bench.prepare.schedule import run_steps
from bench.prepare.steps import LOCK, Done, Job, Options, Step, Track, sweep

__all__ = ["STEPS", "Done", "Options", "prepare"]

_MODULES = (
    *(follow, frames, sound, features, mesh, track, poses, fit),
    *(coefficients, units, parsing, masks, plate, sheet),
)
STEPS: tuple[Step, ...] = tuple(module.STEP for module in _MODULES)


def check(options: Options) -> None:
    """What can be said before any work.

    Raises:
        DataError: a file is not there, or no video with sound, no parser, no features.
        AbsentError: a model in the cache is broken, or its runtime not installed.
    """
    for path in (options.video, options.poses, options.au, options.background):
        if path is not None and not path.is_file():
            raise DataError(f"{path}: no such {'video' if path is options.video else 'file'}")
    if options.out.exists() and not (options.out / ".prepare").is_dir() and any(options.out.iterdir()):
        raise DataError(f"{options.out} is there and not made by `bench data prepare`; give another --out")
    if options.size:
        crop.check_width(options.size)
    source.probe(options.video)
    coefficients.choose(options)
    features.check(options)
    parsers.check(options.parser)


def _write_meta(job: Job, done: list[Done]) -> None:
    """``subject.json``, the reader's card, from what the steps say they did."""
    provenance = {file: text for step in done for file, text in step.made.provenance.items()}
    meta = {
        "schema": 1,
        "name": job.options.name,
        "title": job.options.name,
        "fps": rate.FPS,
        "size": job.size,
        "frames": job.frames,
        "licence": "not stated",
        "source": job.options.video.name,
        "provenance": provenance | {"poses check": next(s.made.summary for s in done if s.name == "fit")},
    }
    write_text(job.root / "subject.json", json.dumps(meta, indent=1, ensure_ascii=False) + "\n")


def prepare(options: Options, track: Track[Any], tell: Callable[[Done], None]) -> list[Done]:
    """Make or complete the subject folder ``options.out``. ``tell`` hears of each step as it ends.

    Raises:
        DataError: the video is refused, or another input is missing, broken or doesn't fit; what was made so far stays.
        AbsentError: a model's runtime is not here.
    """
    check(options)
    job = Job(options, track)
    try:
        with locks.hold(job.work / LOCK, patience=0):
            sweep(job.root)
            return _run(job, tell)
    except locks.Busy:
        raise DataError(f"{options.out}: another `bench data prepare` is at work there; wait for it") from None
    except OSError as error:
        raise DataError(f"{options.out} can't be written ({error.strerror or error}); choose another --out") from error


def _run(job: Job, tell: Callable[[Done], None]) -> list[Done]:
    def before(step: Step, done: Mapping[str, Done]) -> None:
        if step is sheet.STEP:  # it opens the subject, so the card must be there
            _write_meta(job, [done[one.name] for one in STEPS if one.name in done])

    return run_steps(STEPS, job, tell, before)
