"""Renders the sample, compares, and sums up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from scipy import ndimage

from bench import classes
from bench.audit.disturbed import DELTA, Disturbed
from bench.classes import Mask
from bench.contract import Conditioning, MethodInfo, Picture, Renderer, checked_frames
from bench.regions import REGIONS
from bench.subject import Frame, Subject

Share = Annotated[float, Field(ge=0, le=1)]
Map = NDArray[np.float64]
"""[H,W]: one value a pixel."""

PLATES = ("torso_canvas", "hair_canvas", "bare_hair_canvas", "portrait_canvas", "ground_truth")
"""What of ``sees`` holds pixels of the test frame."""
BACKGROUND = "background"
"""Region of the background's class, beside :data:`bench.regions.REGIONS`."""

_LEAST = 1.0
"""Levels: a change put in that is smaller (a plate's blur can mix rising with falling values) is no scale to divide by."""
_NOISE, _NEIGHBOURHOOD = 3.0, 9
"""A change counts if it is above this many times the renderer's own noise in the neighbourhood (pixels a side)."""
_ENOUGH = 4
"""Frames that come out the same twice before a renderer is taken to be free of noise."""
_SPOT_CHECK = 8
"""Frames at most of a method that declares no plate: it is asked whether it copies, not how much."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """An audit's numbers. All shares are 0 … 1."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    ids: tuple[int, ...]
    """The sampled test frames, in the order in which they were rendered."""
    share: Share
    """The copied share: mean over all pixels of all sampled frames."""
    per_frame: tuple[Share, ...]
    regions: dict[str, Share | None]
    """The mean share inside ``face``, ``mouth``, ``hair``, ``torso``, ``background``; None where no frame has any of it."""
    noise: Annotated[float, Field(ge=0)]
    """Mean difference of two renderings of the same thing, in levels of 255. 0 for a deterministic renderer."""
    plates: tuple[str, ...]
    """What holds pixels of the test frame among what the method was handed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Audit(Summary):
    """An audit with its maps."""

    maps: NDArray[np.uint8]
    """[N,H,W] copied share × 255 of each pixel of the sampled frames."""


def sample(ids: Sequence[int], count: int) -> tuple[int, ...]:
    """``count`` of the ids, evenly spread from the first to the last; all of them if there are no more.

    >>> sample(range(100, 110), 4)
    (100, 103, 106, 109)
    """
    places = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
    return tuple(ids[place] for place in places)


def sample_of(info: MethodInfo, ids: Sequence[int], count: int) -> tuple[int, ...]:
    """The frames at which a method is audited: ``count`` of the ids, or fewer where it declares no plate."""
    return sample(ids, count if _plates(info) else min(count, _SPOT_CHECK))


def copied(before: Picture, after: Picture, put_in: Map, noise: Map | None = None) -> Map:
    """The copied share of each pixel.

    The change in the output is the mean over the channels of ``|after − before|``. It is divided by the change put in at
    this pixel; where nothing was put in, by :data:`DELTA`, because then it came from another place of the test frame,
    where every value was moved by that much.

    :param before: the rendered frame [H,W,3], uint8 or float in 0 … 1
    :param after: the same frame, rendered from disturbed pixels
    :param put_in: change of what the method was handed [H,W], levels of 255, mean over the channels
    :param noise: mean difference [H,W] of two renderings of the same thing, levels of 255, if they differ. Changes up to
        three times its local mean (9×9 pixels) don't count
    :returns: [H,W] in 0 … 1

    >>> black, grey = np.zeros((1, 2, 3), np.uint8), np.full((1, 2, 3), 16, np.uint8)
    >>> copied(black, grey, np.array([[32.0, 0.0]])).tolist()
    [[0.5, 0.25]]
    """
    change = difference(before, after)
    if noise is not None:
        floor = _NOISE * ndimage.uniform_filter(noise, _NEIGHBOURHOOD, mode="nearest")
        change = np.where(change > floor, change, 0.0)
    return np.clip(change / np.where(put_in >= _LEAST, put_in, DELTA), 0.0, 1.0)


def difference(a: Picture, b: Picture) -> Map:
    """Mean over the channels of the absolute difference of two pictures [H,W,3], uint8 or float in 0 … 1; levels of 255."""
    return np.abs(_levels(a) - _levels(b)).mean(axis=2, dtype=np.float64)


def run_audit(info: MethodInfo, load: Callable[[], Renderer], subject: Subject, count: int) -> Audit:
    """Audit a trained method.

    Every pass gets a renderer of its own, so that nothing one has kept from frames that it has seen before goes into
    another. Cost: twice the rendering of ``count`` frames, and of 4 more to see whether the renderer gives the same twice;
    of another ``count`` if it doesn't.

    :param info: the method's description; it is handed what ``sees`` names, as ever
    :param load: opens the checkpoint (:meth:`bench.contract.Method.load`)
    :param subject: its test frames are sampled
    :param count: how many, at least 1
    :raises bench.errors.MethodError: the renderer breaks its contract

    A method that declares no plate is rendered all the same, at up to 8 frames: it might know otherwise.

    ::

        found = run_audit(method.info, lambda: method.load(checkpoint, "cpu"), subject, 32)
        print(f"{found.share:.0%} of the picture is the ground truth's")
    """
    ids = sample_of(info, subject.test_ids, count)
    clean, dirty = _given(info, subject, ids), _given(info, Disturbed(subject), ids)
    before = [frame.copy() for frame in _rendered(info, load, clean)]  # a renderer may use its buffer again
    noise = _noise(before, _rendered(info, load, clean))
    shares = [
        copied(first, second, _put_in(info, *given), wobble if wobble.any() else None)
        for first, second, wobble, given in zip(
            before, _rendered(info, load, dirty), noise, zip(clean, dirty, strict=True), strict=True
        )
    ]
    return _summed(info, subject, ids, shares, noise)


def _levels(picture: Picture) -> NDArray[Any]:
    """Float values are clipped, as they are when they become 8 bits."""
    if picture.dtype == np.uint8:
        return picture.astype(np.float32)
    return np.clip(picture.astype(np.float32), 0, 1) * np.float32(255)


def _given(info: MethodInfo, subject: Subject, ids: Iterable[int]) -> list[Conditioning]:
    return [Conditioning(subject.frame(number), subject, info.sees) for number in ids]


def _rendered(info: MethodInfo, load: Callable[[], Renderer], given: Sequence[Conditioning]) -> Iterator[Picture]:
    return checked_frames(info, given, iter(load().render(given)))


def _noise(before: Sequence[Picture], again: Iterator[Picture]) -> list[Map]:
    """Difference of each frame to itself rendered once more; given up as 0 once enough frames are the same."""
    maps: list[Map] = []
    for first, second in zip(before, again, strict=False):  # checked_frames counts
        maps.append(difference(first, second))
        if len(maps) == _ENOUGH and not np.any(maps):
            return [np.zeros_like(maps[0])] * len(before)
    return maps


def _put_in(info: MethodInfo, clean: Conditioning, dirty: Conditioning) -> Map:
    """[H,W] change of what the method was handed: the largest over its plates."""
    width, height = clean.size
    changes = [difference(getattr(clean, plate), getattr(dirty, plate)) for plate in _plates(info)]
    return np.max(changes, axis=0) if changes else np.zeros((height, width))


def _plates(info: MethodInfo) -> tuple[str, ...]:
    return tuple(plate for plate in PLATES if plate in info.sees)


def _summed(info: MethodInfo, subject: Subject, ids: tuple[int, ...], shares: list[Map], noise: Sequence[Map]) -> Audit:
    def background(frame: Frame) -> Mask:
        return frame.labels == classes.BACKGROUND

    frames = [subject.frame(number) for number in ids]
    regions: dict[str, float | None] = {}
    for name, region in {**REGIONS, BACKGROUND: background}.items():
        inside = np.concatenate([share[region(frame)] for share, frame in zip(shares, frames, strict=True)])
        regions[name] = float(inside.mean()) if inside.size else None
    return Audit(
        ids=ids,
        share=float(np.mean(shares)),
        per_frame=tuple(float(share.mean()) for share in shares),
        regions=regions,
        noise=float(np.mean(noise)),
        plates=_plates(info),
        maps=np.rint(np.multiply(shares, 255)).astype(np.uint8),
    )
