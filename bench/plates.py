"""Plates: the pictures a method draws over. Built here, by the harness, so that it knows whose pixels they hold.

Pixel sizes (9, 53, 13×13 …) are the official scripts' own and don't scale with the frame.
Sources: spec_talkinggaussian §2.5, spec_degstalk §2.5–2.6.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bench import classes
from bench.classes import Mask

Picture = NDArray[np.uint8]
NeckFade = Literal["darken", "mean"]
"""How the neck fades upwards under the chin: ×0.98 a row (TalkingGaussian) or towards the mean neck colour (DEGSTalk)."""

_TORSO_ROWS, _NECK_ROWS, _NECK_SHIFT = 9, 48 + 4 + 1, 4
_EROSION = 13


def background_pasted(image: Picture, labels: NDArray[np.uint8], background: Picture) -> Picture:
    """The frame with its background class replaced by the static plate (the official ``gt_imgs``)."""
    return np.where((labels == classes.BACKGROUND)[..., None], background, image)


def _tops(mask: Mask, face: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns whose topmost ``mask`` pixel lies right under ``face``, and that pixel's row."""
    columns = np.flatnonzero(mask.any(0))
    rows = mask[:, columns].argmax(0)
    under = (rows > 0) & face[np.maximum(rows - 1, 0), columns]
    return columns[under], rows[under]


def _paint_up(
    canvas: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp], colours: NDArray[np.float32]
) -> Mask:
    """Write ``colours`` [L, n, 3] upwards from (rows, columns); return which pixels were written."""
    painted = np.zeros(canvas.shape[:2], bool)
    for step in range(len(colours)):
        target = rows - step
        inside = target >= 0
        canvas[target[inside], columns[inside]] = colours[step][inside]
        painted[target[inside], columns[inside]] = True
    return painted


def _blur(canvas: NDArray[np.float32]) -> NDArray[np.float32]:
    """5×5 Gaussian, σ 4: what the official call's misplaced border constant amounts to."""
    axis = np.exp(-(np.arange(-2, 3) ** 2) / 32.0)
    axis /= axis.sum()
    return ndimage.correlate1d(ndimage.correlate1d(canvas, axis, 0, mode="mirror"), axis, 1, mode="mirror")


def _blur_where(canvas: NDArray[np.float32], mask: Mask) -> None:
    """Blur ``canvas`` [H,W,3] in place where ``mask`` [H,W], reading two pixels around it: mostly a small part of the picture."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows):
        place = tuple(slice(max(0, found[0] - 2), found[-1] + 3) for found in (rows, columns))
        canvas[place] = np.where(mask[place][..., None], _blur(canvas[place]), canvas[place])


def torso(image: Picture, labels: NDArray[np.uint8], background: Picture, fade: NeckFade) -> tuple[Picture, Mask]:
    """Torso and neck of the frame, grown up under the chin. Returns RGB [H,W,3] and where it is opaque [H,W]."""
    face, red, green = classes.face(labels, ears=True), labels == classes.CLOTH, classes.neck(labels)
    picture = background_pasted(image, labels, background).astype(np.float32)
    canvas = np.where(face[..., None], background, picture).astype(np.float32)

    columns, rows = _tops(red, face)
    decay = 0.98 ** np.arange(_TORSO_ROWS, dtype=np.float32)[:, None, None]
    torso_painted = _paint_up(canvas, rows, columns, canvas[rows, columns][None] * decay)

    neck = ndimage.binary_dilation(green, np.ones((3, 1), bool), iterations=3)
    columns, rows = _tops(neck, face)
    count = neck[:, columns].sum(0)
    source = rows + np.minimum(count - 1, _NECK_SHIFT)
    colour = picture[source, columns][None]
    if fade == "darken":
        ramp = colour * 0.98 ** np.arange(_NECK_ROWS, dtype=np.float32)[:, None, None]
    else:
        keep = np.linspace(1, 0, _NECK_ROWS, dtype=np.float32)[:, None, None]
        mean = picture[neck].mean(0) if neck.any() else np.zeros(3, np.float32)
        ramp = keep * colour + (1 - keep) * mean
    neck_painted = _paint_up(canvas, source, columns, ramp)
    _blur_where(canvas, neck_painted)

    opaque = neck | red | torso_painted | neck_painted
    return np.where(opaque[..., None], canvas, 0).astype(np.uint8), opaque


def torso_canvas(image: Picture, labels: NDArray[np.uint8], background: Picture) -> Picture:
    """TalkingGaussian's B_t: the frame's torso over the static plate. No hair, no scene pixels of the frame."""
    rgb, opaque = torso(image, labels, background, "darken")
    return np.where(opaque[..., None], rgb, background)


def hair_canvas(
    image: Picture, labels: NDArray[np.uint8], teeth: Mask, background: Picture, *, rim: bool = True
) -> Picture:
    """DEGSTalk's B_t: the real frame without face, mouth, neck and cloth; torso put back; holes from the plate.

    Keeps real hair, ears, surroundings, and with ``rim`` up to 6 px inside the face's contour. The official script
    finds the holes by their black colour and so also replaces pixels that are black in the frame; here they are
    found by mask.
    """
    mouth = classes.mouth(labels, teeth)
    region = classes.face(labels, ears=False) | mouth
    drop = (_eroded(region) if rim else region) | mouth | classes.neck(labels) | (labels == classes.CLOTH)
    rgb, opaque = torso(image, labels, background, "mean")
    canvas = np.where(drop[..., None], background, image)
    return np.where(opaque[..., None], rgb, canvas)


def _eroded(mask: Mask) -> Mask:
    """13×13 erosion of [H,W], first along columns, then along rows; beyond the picture's edge the mask goes on mirrored."""
    pad = _EROSION // 2
    padded = np.pad(mask, pad, mode="reflect")
    for axis in ((_EROSION, 1), (1, _EROSION)):
        padded = ndimage.binary_erosion(padded, np.ones(axis, bool), border_value=True)
    return padded[pad:-pad, pad:-pad]
