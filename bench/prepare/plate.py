"""Step *plate*: the static background ``bc.jpg``, given, or estimated as the field does (spec_degstalk §2.6) but for two things.

Background that the person encloses is not believed (an earring, a gap in the hair: parsers take both for background, and
they lie far from anything else). What no frame shows is filled smoothly, not with the nearest pixel: that drew a streak
inwards from each strand of hair.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from bench import classes
from bench.classes import Mask
from bench.errors import DataError
from bench.prepare import frames
from bench.prepare.parsers.offline import joined
from bench.prepare.steps import Job, Made, Options, Step

Picture = NDArray[np.uint8]
_EVERY, _CLEAR = 20, 5
"""Every 20th frame is looked at; a pixel counts where it is more than 5 px from anything in front. The official script's
own numbers: they don't scale with the frame."""


def behind(labels: NDArray[np.uint8]) -> Mask:
    """[H,W] background of a class map [H,W] that reaches the picture's edge."""
    edge = np.ones(labels.shape, bool)
    edge[1:-1, 1:-1] = False
    return joined(labels == classes.BACKGROUND, edge)


def estimate(pictures: Iterable[tuple[Picture, Mask]]) -> tuple[Picture, float]:
    """(plate [H,W,3], share of its pixels that no frame shows) from (frame, where its background is).

    Each pixel comes from the frame in which it lies farthest from any foreground; pixels never clear of it by more than
    5 px are filled (:func:`filled`).

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
    return filled(plate, hidden), float(hidden.mean())


def filled(plate: Picture, hidden: Mask) -> Picture:
    """``plate`` [H,W,3] with its ``hidden`` pixels, which mustn't be all, made of what surrounds them: the farther, the smoother."""
    return _pulled(plate.astype(np.float32), (~hidden).astype(np.float32)).round().astype(np.uint8)


def _pulled(colours: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where ``known`` [H,W] is 0, ``colours`` [H,W,3] of the same at half the size."""
    there = known > 0
    if there.all():
        return colours
    height, width = known.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    weight = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(colours * known[..., None], half, interpolation=cv2.INTER_AREA)
    coarse = _pulled(sums / np.maximum(weight, 1e-9)[..., None], np.sign(weight))
    return np.where(there[..., None], colours, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))


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


def _looked_at(job: Job) -> Iterable[tuple[Picture, Mask]]:
    ids = range(0, job.train, _EVERY)
    for i in job.track(ids, "plate", len(ids)):
        with Image.open(job.image(i)) as picture:
            yield np.asarray(picture.convert("RGB")), behind(classes.load(job.root / f"parsing/{i}.png"))


def run(job: Job) -> Made:
    """Make and write the plate. Only training frames are looked at (the official script looks at test frames too)."""
    if job.options.background is not None:
        plate, text = given(job.options.background, job.size), f"{job.options.background.name}, resized"
    else:
        plate, hidden = estimate(_looked_at(job))
        text = f"every {_EVERY}th training frame, farthest from the foreground; {hidden:.0%} never seen, filled from around"
    frames.save(job.root / "bc.jpg", plate)
    return Made(text, {"bc.jpg": text})


def _inputs(options: Options) -> dict[str, object]:
    return {"background": options.background}


STEP = Step("plate", run, ("bc.jpg",), needs=("masks",), inputs=_inputs)
