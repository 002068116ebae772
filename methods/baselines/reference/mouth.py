"""One frame's mouth on another frame, moved to where the head is: everything but the lips stays bit for bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.draw import polygon2mask
from skimage.transform import estimate_transform, warp

_STILL, _LIPS = slice(27, 48), slice(48, 68)
"""Nose and eyes, which say where the head is; the lips."""
_MARGIN = 0.25
"""Width of the soft edge around the mouth, in mouth widths."""


def paste(
    frame: NDArray[np.uint8], points: NDArray[np.float32], donor: NDArray[np.uint8], donor_points: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """``frame`` with the mouth of ``donor`` on it.

    :param frame: uint8 [H,W,3]
    :param points: its 68 landmarks [68,2] in pixels
    :param donor: uint8 [H,W,3], of the same person and camera
    :param donor_points: its landmarks
    """
    motion = estimate_transform("similarity", donor_points[_STILL], points[_STILL])
    moved = warp(donor, motion.inverse, output_shape=frame.shape[:2], mode="edge", preserve_range=True)
    lips = np.concatenate([motion(donor_points[_LIPS]), points[_LIPS]])
    outline = lips[ConvexHull(lips).vertices][:, ::-1]
    distance = ndimage.distance_transform_edt(~polygon2mask(frame.shape[:2], outline))
    alpha = np.clip(1 - distance / (_MARGIN * np.ptp(lips[:, 0])), 0, 1)[..., None]
    return np.round(alpha * moved + (1 - alpha) * frame).astype(np.uint8)
