"""Step *masks*: the parser's answer made clean: ``parsing/<id>.png`` and ``teeth_mask/<id>.npy``.

Four repairs, all stated in subject.json: a label that only one frame shows is voted out by its two neighbours (coarse
parts only), islands take the label around them, left and right parts are told apart by the face's midline (the parser
swaps them), and the inner mouth is what parser *or* face mesh see, with the teeth that both miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bench import classes
from bench.classes import LIPS, Mask
from bench.paths import atomic_file
from bench.prepare import contours, mesh, parsers, parsing
from bench.prepare.steps import Job, Made, Step
from bench.prepare.workers import each

Labels = NDArray[np.uint8]
Points = NDArray[np.float32]
_FINE = (2, 3, 4, 5, 6, 9, 10, 11, 12, 13)
"""Parts small or quick enough that a vote over time or a size limit would harm them."""
_PAIRS = ((2, 3), (4, 5), (7, 8))
_ISLAND, _SPECK = 5e-4, 6e-5
"""Smallest component kept, coarse and fine parts, as a share of the frame's pixels."""
_FOREHEAD, _CHIN = 10, 152
_REACH = 0.012
"""How far from the mesh's inner lips an inner mouth may lie, as a share of the frame's width."""
_REDNESS, _LIGHT = (0.5, 0.6), 0.85
"""Teeth have less than this share of the lips' or of the skin's redness (light skin is as pale as teeth, lips are not;
on dark skin the lips may be pale), and more than this share of the lips' brightness."""


def vote(before: Labels, now: Labels, after: Labels) -> Labels:
    """``now``, but where both neighbours in time agree against it on coarse parts, their label."""
    outvoted = (before == after) & ~classes.is_in(now, _FINE) & ~classes.is_in(before, _FINE)
    return np.where(outvoted, before, now)


def without_islands(labels: Labels) -> Labels:
    """Components below the size limit take the nearest remaining label; a part's largest component stays if not a speck."""
    drop = np.zeros(labels.shape, bool)
    for part in np.flatnonzero(np.bincount(labels.ravel())):
        mask = (labels == part).view(np.uint8)
        region = _window(cv2.boundingRect(mask))
        _, parts, boxes, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask[region]), connectivity=4)
        sizes = boxes[:, cv2.CC_STAT_AREA].copy()
        sizes[0] = labels.size  # the surroundings, never dropped
        small = sizes < labels.size * (_SPECK if part in _FINE else _ISLAND)
        largest = 1 + sizes[1:].argmax()
        small[largest] = sizes[largest] < labels.size * _SPECK
        for k in np.flatnonzero(small):
            window = _window(boxes[k].tolist())
            drop[region][window] |= parts[window] == k
    return refilled(labels, drop)


def _window(box: Sequence[int], margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of a box (left, top, width, height, …)."""
    x, y, width, height = box[:4]
    return slice(max(y - margin, 0), y + height + margin), slice(max(x - margin, 0), x + width + margin)


def refilled(labels: Labels, drop: Mask) -> Labels:
    """Dropped pixels take the label of the nearest kept one, which lies beside their component."""
    out = labels.copy()
    _, _, boxes, _ = cv2.connectedComponentsWithStats(drop.view(np.uint8), connectivity=8)
    for box in boxes[1:].tolist():
        window = _window(box, margin=2)
        if drop[window].all():  # nothing is kept there: all of the frame is dropped
            continue
        nearest = ndimage.distance_transform_edt(drop[window], return_distances=False, return_indices=True)
        out[window] = labels[window][tuple(nearest)]
    return out


def sided(labels: Labels, points: Points) -> Labels:
    """Brows, eyes and ears: the subject's left is right of the line from forehead to chin, as in CelebAMask-HQ."""
    top, down = points[_FOREHEAD], points[_CHIN] - points[_FOREHEAD]
    out = labels.copy()
    for left, right in _PAIRS:
        rows, columns = np.nonzero((labels == left) | (labels == right))
        on_left = (columns - top[0]) * down[1] > (rows - top[1]) * down[0]
        out[rows, columns] = np.where(on_left, left, right)
    return out


def grown(mask: Mask, steps: int) -> Mask:
    """The mask and what is within ``steps`` steps to a side of it."""
    way = np.abs(np.arange(-steps, steps + 1))
    diamond = (way[:, None] + way <= steps).astype(np.uint8)
    return cv2.dilate(mask.view(np.uint8), diamond).view(np.bool_)


def teeth(picture: NDArray[np.uint8], labels: Labels, near: Mask) -> Mask:
    """Pixels inside ``near`` that are about as bright as the lips and hardly red."""
    lips, skin = classes.is_in(labels, LIPS), labels == classes.SKIN
    if not (lips.any() and skin.any()):
        return np.zeros(labels.shape, bool)
    (red_lips, bright_lips), (red_skin, _), (red, bright) = (_look(picture[part]) for part in (lips, skin, near))
    limit = max(share * np.median(part) for share, part in zip(_REDNESS, (red_lips, red_skin), strict=True))
    white = np.zeros(labels.shape, bool)
    white[near] = (red < limit) & (bright > _LIGHT * np.median(bright_lips))
    return white


def _look(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(redness, brightness) of RGB pixels [N,3]."""
    rgb = pixels.astype(np.float32)
    bright = rgb.max(-1)
    return (rgb[:, 0] - rgb[:, 1]) / np.maximum(bright, 1), bright


def with_mouth(labels: Labels, picture: NDArray[np.uint8], points: Points) -> tuple[Labels, Mask]:
    """Class 11 where parser, mesh or teeth say so, near the mesh's inner lips; and the teeth. ``points``: [478,2]."""
    height, width = labels.shape
    lips = contours.part(points, contours.INNER_LIP, (width, height))
    reach = max(1, round(_REACH * width))
    opening = lips if lips.any() else (labels == classes.INNER_MOUTH)
    near = grown(opening, reach)
    inner = (labels == classes.INNER_MOUTH) & near
    out = refilled(labels, (labels == classes.INNER_MOUTH) & ~near)
    open_mouth = inner | lips
    rim = grown(open_mouth, reach)
    white = teeth(picture, labels, rim & classes.is_in(out, (classes.INNER_MOUTH, *LIPS)) | open_mouth)
    out[open_mouth | white] = classes.INNER_MOUTH
    return out, white


def run(job: Job) -> Made:
    """Clean every frame that isn't yet."""
    points, last = mesh.load(job)[..., :2], job.frames - 1

    @lru_cache(maxsize=64)  # three frames look at each
    def raw(i: int) -> Labels:
        return parsing.load(job, min(max(i, 0), last))

    def clean(i: int) -> None:
        with Image.open(job.image(i)) as picture:
            rgb = np.asarray(picture.convert("RGB"))
        labels = sided(without_islands(vote(raw(i - 1), raw(i), raw(i + 1))), points[i])
        labels, white = with_mouth(labels, rgb, points[i])
        with atomic_file(job.root / f"parsing/{i}.png", flush=False) as temporary:
            classes.save(temporary, labels, small=False)
        with atomic_file(job.root / f"teeth_mask/{i}.npy", flush=False) as temporary:
            np.save(temporary, white)

    for _ in job.track(each(clean, range(job.frames)), "masks", job.frames):
        pass
    parser = parsers.choose(job.options.parser)
    return Made(
        f"{job.frames} class maps and teeth masks",
        {
            "parsing/*.png": f"{parser.name} (licence: {parser.licence}); three-frame vote, islands removed, sides by the face's midline, "
            "inner mouth = parser or mesh or teeth",
            "teeth_mask/*.npy": "pixels as bright as the lips and hardly red in and at the inner mouth (no model)",
        },
    )


STEP = Step("masks", run, ("parsing/*.png", "teeth_mask/*.npy"), needs=("parsing", "mesh"))
