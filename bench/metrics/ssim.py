"""SSIM: structural similarity, in Wang et al.'s setting or in scikit-image's defaults."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import threads
from bench.errors import DataError, unknown
from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import Batch, Frames, Mask, Values, check_mask, check_pair, weighted_mean

Window = Literal["gauss11", "uniform7"]
RADIUS: dict[Window, int] = {"gauss11": 5, "uniform7": 3}
"""Half of the window: so many border pixels have no full window and don't count."""
_BAND = 96
"""Rows at a time."""
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_AXIS = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_AXIS /= _AXIS.sum()


def ssim(pred: Frames, gt: Frames, mask: Mask | None = None, window: Window = "gauss11") -> Values:
    """Mean structural similarity of each frame: -1…1, 1 for identical frames.

    ``gauss11`` is the setting of Wang et al. (2004) as scikit-image's documentation spells it: Gaussian window with σ = 1.5,
    cut to 11×11, population covariance, K1 = 0.01, K2 = 0.03, data range 255, the mean over the three channels and all
    pixels with a full window; also that of torchmetrics and NerfBaselines. ``uniform7`` is scikit-image's default, which
    DEGSTalk's script calls: 7×7 uniform window, sample covariance.

    :param pred: uint8 RGB [N, H, W, 3], H and W at least the window's side
    :param gt: the same shape
    :param mask: weights ≥ 0 [N, H, W]: the mean of the SSIM map under them. Windows reach over the mask's edge.
    :param window: which of the two settings
    :returns: float64 [N]; NaN for a frame whose mask is empty
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", IEEE TIP 13(4), 2004. OpenCV filters; the numbers
    are scikit-image's.
    """
    check_pair(pred, gt)
    if mask is not None:
        check_mask(mask, gt)
    return _values(pred, gt, {"": mask}, window)[""]


def _values(pred: Frames, gt: Frames, masks: Mapping[str, Mask | None], window: Window) -> dict[str, Values]:
    """SSIM under each of the masks; the map is computed once."""
    if min(gt.shape[1:3]) <= 2 * RADIUS[window]:
        side = 2 * RADIUS[window] + 1
        raise DataError(f"frames are {gt.shape[1:3]}, SSIM needs at least {side}×{side}")
    r = RADIUS[window]

    def means(index: int) -> list[float]:
        found = _map(pred[index], gt[index], window)
        plane = _channel_mean(found[None]) if any(mask is not None for mask in masks.values()) else found
        cut = (None if mask is None else mask[index : index + 1, r:-r, r:-r] for mask in masks.values())
        return [float(found.mean() if mask is None else weighted_mean(plane, mask)[0]) for mask in cut]

    columns = np.array(threads.each(means, range(len(gt))), np.float64).reshape(len(gt), len(masks))
    return {name: columns[:, index] for index, name in enumerate(masks)}


def _channel_mean(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, h, w, 1]. All regions share it; ``mean(axis=3)`` would take seven times as long."""
    return (maps[..., :1] + maps[..., 1:2] + maps[..., 2:]) / 3


def _map(pred: NDArray[np.uint8], gt: NDArray[np.uint8], window: Window) -> NDArray[np.float64]:
    """Similarity [h, w, 3] where the window is whole, in bands of rows; valid until this thread asks for the next one."""
    r = RADIUS[window]
    height, width, channels = gt.shape
    (found,) = _buffers("map", 1, (height - 2 * r, width - 2 * r, channels))
    for top in range(0, len(found), _BAND):
        part = found[top : top + _BAND]
        rows = slice(top, top + len(part) + 2 * r)
        _similarity(pred[rows], gt[rows], window, part)
    return found


def _similarity(pred: NDArray[np.uint8], gt: NDArray[np.uint8], window: Window, out: NDArray[np.float64]) -> None:
    """Of one band of rows, all in place."""
    r = RADIUS[window]
    x, y, product, *filtered, means = _buffers("band", 8, gt.shape)
    np.copyto(x, pred)
    np.copyto(y, gt)
    np.multiply(x, y, out=product)
    for source, target in zip((x, y, product), filtered, strict=False):
        _filtered(source, target, window)
    x *= x
    y *= y
    x += y
    _filtered(x, filtered[3], window)
    # Columns are cut off last: rows without gaps are twice as fast.
    mean_x, mean_y, covariance, power, means = (plane[r:-r] for plane in (*filtered, means))
    np.multiply(mean_x, mean_y, out=means)
    mean_x *= mean_x
    mean_y *= mean_y
    mean_x += mean_y
    covariance -= means
    power -= mean_x
    # numerator (2 μx μy + C1)(2 σxy + C2), denominator (μx² + μy² + C1)(σx² + σy² + C2)
    unbiased = 49 / 48 if window == "uniform7" else 1.0
    covariance *= 2 * unbiased
    covariance += _C2
    means *= 2
    means += _C1
    covariance *= means
    power *= unbiased
    power += _C2
    mean_x += _C1
    power *= mean_x
    np.divide(covariance[:, r:-r], power[:, r:-r], out=out)


def _filtered(x: NDArray[np.float64], out: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    if window == "gauss11":
        cv2.sepFilter2D(x, -1, _AXIS, _AXIS, out)
    else:
        cv2.blur(x, (7, 7), out)
    return out


def _buffers(name: str, count: int, shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """This thread's arrays of that name: kept, because fresh memory would cost more than the arithmetic on it."""
    kept: list[NDArray[np.float64]] = getattr(_here, name, [])
    if not kept or kept[0].shape[1:] != shape[1:] or len(kept[0]) < shape[0]:
        kept = [np.empty(shape) for _ in range(count)]
        setattr(_here, name, kept)
    return [buffer[: shape[0]] for buffer in kept]  # the last band may be lower


_here = threading.local()


def _open(settings: Settings) -> Scorer:
    window: Any = settings.options.get("window", "gauss11")
    if window not in RADIUS:
        raise unknown("SSIM window", window, RADIUS)

    def per_frame(batch: Batch) -> Series:
        return _values(batch.pred, batch.gt, batch.weights, window)

    return Scorer(per_frame, (("win", window),))


METRIC = Metric(
    name="ssim",
    label="SSIM",
    unit="1",
    higher_is_better=True,
    definition="Structural similarity on 8-bit RGB, data range 255, K1 0.01, K2 0.03, mean over channels and pixels with a full "
    "window, per frame; then the mean over frames. win:gauss11: 11x11 Gaussian, sigma 1.5, population covariance (Wang et al.); "
    "win:uniform7: 7x7 uniform, sample covariance (scikit-image's default, DEGSTalk's script). In a region, the map's mean "
    "under its weights.",
    source="Wang et al., IEEE TIP 13(4), 2004; values as scikit-image's",
    version=1,
    open=_open,
    regions=None,
)
