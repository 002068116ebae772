"""Step *plate*: the static background ``bc.jpg``, estimated as the field does (spec_degstalk §2.6) or given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from bench import classes
from bench.errors import DataError
from bench.prepare import frames
from bench.prepare.steps import Job, Made, Options, Step

Picture = NDArray[np.uint8]
_EVERY, _CLEAR = 20, 5
"""Every 20th frame is looked at; a pixel counts where it is more than 5 px from anything in front. The official script's
own numbers: they don't scale with the frame."""


def estimate(pictures: Iterable[tuple[Picture, NDArray[np.bool_]]]) -> tuple[Picture, float]:
    """(plate [H,W,3], share of its pixels that no frame shows) from (frame, where its background is).

    Each pixel comes from the frame in which it lies farthest from any foreground; pixels never clear of it by more than
    5 px take the nearest pixel that is.

    Raises:
        DataError: no frame shows any background.
    """
    plate, farthest = None, None
    for picture, background in pictures:
        clear = (
            ndimage.distance_transform_edt(background) if not background.all() else np.full(background.shape, np.inf)
        )
        if plate is None or farthest is None:
            plate, farthest = picture.copy(), clear
        better = clear > farthest
        plate[better], farthest[better] = picture[better], clear[better]
    if plate is None or farthest is None or farthest.max() <= _CLEAR:
        raise DataError("no frame shows the background; give a picture of it with --background")
    hidden = farthest <= _CLEAR
    rows, columns = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return plate[rows, columns], float(hidden.mean())


def given(path: Path, size: tuple[int, int]) -> Picture:
    """The picture at ``size`` (width, height).

    Raises:
        DataError: missing or no picture.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    except (FileNotFoundError, UnidentifiedImageError) as error:
        raise DataError(
            f"{path}: no such picture ({error}); give --background a JPEG or PNG, or leave it out"
        ) from error


def _looked_at(job: Job) -> Iterable[tuple[Picture, NDArray[np.bool_]]]:
    ids = range(0, job.train, _EVERY)
    for i in job.track(ids, "plate", len(ids)):
        with Image.open(job.image(i)) as picture:
            labels = classes.load(job.root / f"parsing/{i}.png")
            yield np.asarray(picture.convert("RGB")), labels == classes.BACKGROUND


def run(job: Job) -> Made:
    """Make and write the plate. Only training frames are looked at (the official script looks at test frames too)."""
    if job.options.background is not None:
        plate, text = given(job.options.background, job.size), f"{job.options.background.name}, resized"
    else:
        plate, hidden = estimate(_looked_at(job))
        text = f"every {_EVERY}th training frame, farthest from the foreground; {hidden:.0%} never seen, filled with nearest"
    frames.save(job.root / "bc.jpg", plate)
    return Made(text, {"bc.jpg": text})


def _inputs(options: Options) -> dict[str, object]:
    return {"background": options.background}


STEP = Step("plate", run, ("bc.jpg",), needs=("masks",), inputs=_inputs)
