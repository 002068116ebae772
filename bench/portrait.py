"""SyncTalk's portrait mode: the inside of the face, blended with a soft edge onto the ground truth.

Source: spec_synctalk §2.3 (the mask), §4.2 (the blend).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import classes
from bench.errors import DataError

_INNER = (1, 2, 3, 4, 5, 6, 10, 11, 12, 13)
"""Skin, brows, eyes, glasses, nose, mouth, lips: no ears, hair, hat or neck."""
_GRID = 512
"""Side of the grid on which the mask is made, whatever the frame's size."""
_PAD = 5
"""Rows by which the chin is moved down, and half the height of what is painted there."""
_KERNEL, _SIGMA = (9, 9), 4.0


def face_weights(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How much of the prediction shows at each pixel: [H, W], 0 none … 255 all, soft over about 4 px of the 512 grid.

    :param labels: CelebAMask-HQ classes [H, W] of the ground truth
    :raises bench.errors.DataError: there is no face in it
    """
    grid = cv2.resize(labels, (_GRID, _GRID), interpolation=cv2.INTER_NEAREST)
    face = classes.is_in(np.asarray(grid, np.uint8), _INNER)
    if not face.any():
        raise DataError("the parsing holds no face, so there is nothing to blend")
    outside = np.where(_with_chin(face), 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(outside, _KERNEL, _SIGMA)
    return np.asarray(255 - cv2.resize(soft, labels.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def _with_chin(face: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The face grown down by about 10 px in the middle half of its width: a moving chin leaves the parsed one."""
    columns = np.flatnonzero(face.any(0))
    lowest = _GRID - 1 - face[::-1, columns].argmax(0)
    middle = np.minimum(lowest + _PAD, _GRID - 1)
    quarter = (columns[-1] - columns[0]) // 4
    grown = face.copy()
    for column, row in zip(columns, middle, strict=True):
        if quarter <= column - columns[0] <= 3 * quarter:
            grown[max(row - _PAD, 0) : row + _PAD, column] = True
    return grown


def outside(truth: NDArray[np.uint8], weights: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What :func:`blend` takes of the ground truth: ``(255 - w)·truth / 255`` [H, W, 3], cut off to 8 bits."""
    return ((255 - weights[..., None].astype(np.uint16)) * truth // 255).astype(np.uint8)


def blend(pred: NDArray[np.uint8], truth: NDArray[np.uint8], weights: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(w·pred + (255 - w)·truth) / 255``, cut off to 8 bits; frames uint8 RGB [H, W, 3], ``weights`` uint8 [H, W].

    In whole numbers, so that equal pixels stay equal: floats would now and then lose one level to rounding.

    >>> blend(np.full((1, 2, 3), 200, np.uint8), np.full((1, 2, 3), 100, np.uint8), np.array([[0, 255]], np.uint8))[0, :, 0]
    array([100, 200], dtype=uint8)
    """
    share = weights[..., None].astype(np.uint32)
    return ((share * pred + (255 - share) * truth) // 255).astype(np.uint8)
