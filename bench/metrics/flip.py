"""FLIP: how large a difference looks to somebody who flips between the two pictures; a map of it, and its mean."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import stats, threads
from bench.errors import UsageError
from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import Batch, Frames, Mask, Values, check_mask, check_pair, weighted_mean

Plane = NDArray[np.float32]
"""[H, W], or [H, W, 3]. Single precision is the reference's, and four times as fast as double."""
Line = NDArray[np.float64]
"""[K], a filter along one axis; or [3, 3], a change of colour space."""

PPD = 3840 * math.pi / 180
"""Pixels per degree of visual angle, 67.02: a display of 3840 pixels in 0.7 m, seen from 0.7 m."""
_GAUSSIANS = (((1.0, 0.0047),), ((1.0, 0.0053),), ((34.1, 0.04), (13.5, 0.025)))
"""(a, b) of the contrast sensitivity of luminance, red–green and blue–yellow: ``Σ a √(π/b) exp(-π² x²/b)``, x in degrees."""
_DETECTOR = 0.082
"""Width in degrees of the edge and point detectors."""
_COLOUR_POWER, _FEATURE_POWER = 0.7, 0.5
_KNEE = (0.4, 0.95)
"""Colour errors up to this share of the largest one are stretched over this share of 0…1."""

_PRIMARIES = np.array([[0.64, 0.30, 0.15], [0.33, 0.60, 0.06], [0.03, 0.10, 0.79]])
_WHITE = np.array([0.3127, 0.3290, 0.3583]) / 0.3290
_TO_XYZ: Line = np.asarray(_PRIMARIES * np.linalg.solve(_PRIMARIES, _WHITE) / _WHITE[:, None], np.float64)
"""Linear sRGB → X, Y, Z as shares of white's."""
_TO_OPPONENT: Line = np.dot([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]], _TO_XYZ)
"""Linear sRGB → Y, C_x, C_z, but for an offset of -16 in the first, which filters whose sum is 1 leave alone."""
_FROM_OPPONENT: Line = np.linalg.inv(_TO_OPPONENT)
_SRGB = np.arange(256) / 255.0
_LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4).astype(np.float32)


def flip(pred: Frames, gt: Frames, mask: Mask | None = None, ppd: float = PPD) -> Values:
    """Mean of the LDR-FLIP error map of each frame: 0…1, 0 for identical frames.

    Both frames are blurred as far as the eye can't resolve them at ``ppd`` pixels a degree, and compared in a uniform colour
    space; differences in edges and points raise the colour difference. There are no learned weights.

    :param pred: uint8 sRGB [N, H, W, 3]
    :param gt: the same shape
    :param mask: weights ≥ 0 [N, H, W]: the mean of the error map under them. Filters reach over the mask's edge.
    :param ppd: pixels per degree, > 0
    :returns: float64 [N]; NaN for a frame whose mask is empty
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: Andersson, Nilsson, Akenine-Möller, Oskarsson, Åström, Fairchild, "FLIP: A Difference Evaluator for Alternating
    Images", HPG 2020. OpenCV filters; the numbers are flip-evaluator 1.7's (to 1e-5).

    >>> black, white = np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8, 3), 255, np.uint8)
    >>> round(float(flip(white, black)[0]), 3)
    0.967
    """
    check_pair(pred, gt)
    if mask is not None:
        check_mask(mask, gt)
    return _mean(error_maps(pred, gt, ppd), mask)


def error_maps(pred: Frames, gt: Frames, ppd: float = PPD) -> NDArray[np.float32]:
    """FLIP error of each pixel, float32 [N, H, W, 1] in 0…1; parameters as of :func:`flip`."""
    eye = _eye(ppd)
    maps = threads.each(lambda made, true: _error(_seen(made, eye), _seen(true, eye)), pred, gt)
    return np.stack(maps)[..., None] if maps else np.zeros((*gt.shape[:3], 1), np.float32)


@dataclass(frozen=True)
class _Eye:
    """Filters along one axis; those of a plane are their products."""

    blurs: tuple[tuple[tuple[float, Line], ...], ...]
    """Of each opponent channel: Gaussians whose sum is 1, and their shares."""
    smooth: Line
    edge: Line
    point: Line


@functools.lru_cache(maxsize=4)
def _eye(ppd: float) -> _Eye:
    widest = max(b for gaussians in _GAUSSIANS for _, b in gaussians)
    radius = math.ceil(3 * math.sqrt(widest / (2 * math.pi**2)) * ppd)
    x = np.arange(-radius, radius + 1) / ppd
    blurs = []
    for gaussians in _GAUSSIANS:
        lines = [np.exp(-((math.pi * x) ** 2) / b) for _, b in gaussians]
        masses = [a * math.sqrt(math.pi / b) * line.sum() ** 2 for (a, b), line in zip(gaussians, lines, strict=True)]
        blurs.append(tuple((m / sum(masses), line / line.sum()) for m, line in zip(masses, lines, strict=True)))
    sigma = 0.5 * _DETECTOR * ppd
    x = np.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1.0)
    bell = np.exp(-(x**2) / (2 * sigma**2))
    return _Eye(tuple(blurs), bell / bell.sum(), _balanced(-x * bell), _balanced((x**2 / sigma**2 - 1) * bell))


def _balanced(line: Line) -> Line:
    """Positive weights sum to 1, negative ones to -1."""
    return np.where(line > 0, line / line[line > 0].sum(), line / -line[line < 0].sum())


@dataclass(frozen=True)
class _Seen:
    """A frame as the eye takes it in."""

    colour: Plane
    """[H, W, 3] L*a*b* whose chroma grows with lightness."""
    edges: Plane
    """[H, W] strength of edges."""
    points: Plane


def _seen(frame: NDArray[np.uint8], eye: _Eye) -> _Seen:
    opponents = cv2.split(cv2.transform(cv2.LUT(frame, _LINEAR), _TO_OPPONENT))
    blurred = cv2.merge([_blurred(plane, kernels) for plane, kernels in zip(opponents, eye.blurs, strict=True)])
    linear = np.clip(cv2.transform(blurred, _FROM_OPPONENT), 0.0, 1.0)
    luminance = opponents[0] / 116.0
    return _Seen(_colour(linear), _strength(luminance, eye.edge, eye), _strength(luminance, eye.point, eye))


def _blurred(plane: Any, kernels: tuple[tuple[float, Line], ...]) -> Any:
    return sum(share * _filtered(plane, line, line) for share, line in kernels)


def _filtered(plane: Any, along_x: Line, along_y: Line) -> Any:
    return cv2.sepFilter2D(plane, -1, along_x, along_y, borderType=cv2.BORDER_REPLICATE)


def _strength(luminance: Any, line: Line, eye: _Eye) -> Plane:
    across, down = _filtered(luminance, line, eye.smooth), _filtered(luminance, eye.smooth, line)
    return np.sqrt(across * across + down * down)


def _colour(linear: Any) -> Plane:
    """Linear sRGB → L*a*b*, a* and b* times L*/100 (Hunt: colours look paler in the dark)."""
    delta = 6 / 29
    xyz = cv2.transform(linear, _TO_XYZ)
    roots = np.where(xyz > delta**3, cv2.pow(xyz, 1 / 3), xyz / (3 * delta**2) + 4 / 29)
    x, y, z = cv2.split(roots)
    lightness = 116.0 * y - 16.0
    return np.asarray(cv2.merge([lightness, 5.0 * lightness * (x - y), 2.0 * lightness * (y - z)]))


def _distance(one: Plane, other: Plane) -> Plane:
    """HyAB: lightness difference plus chroma distance."""
    lightness, a, b = cv2.split(cv2.absdiff(one, other))
    return np.asarray(lightness + np.sqrt(a * a + b * b))


_GREEN, _BLUE = _colour(np.array([[[0.0, 1.0, 0.0]]], np.float32)), _colour(np.array([[[0.0, 0.0, 1.0]]], np.float32))
_LARGEST = float(_distance(_GREEN, _BLUE)[0, 0]) ** _COLOUR_POWER
"""The largest colour error, between pure green and pure blue."""


def _error(pred: _Seen, gt: _Seen) -> Plane:
    share = cv2.pow(_distance(pred.colour, gt.colour), _COLOUR_POWER) / _LARGEST
    knee, height = _KNEE
    colour = np.where(share < knee, share * (height / knee), height + (share - knee) * ((1 - height) / (1 - knee)))
    features = cv2.max(cv2.absdiff(pred.edges, gt.edges), cv2.absdiff(pred.points, gt.points))
    return np.asarray(colour ** (1.0 - cv2.pow(features / math.sqrt(2), _FEATURE_POWER)))


def _mean(maps: NDArray[np.float32], mask: Mask | None) -> Values:
    return np.asarray(maps.mean(axis=(1, 2, 3), dtype=np.float64)) if mask is None else weighted_mean(maps, mask)


def _open(settings: Settings) -> Scorer:
    text = settings.options.get("ppd", str(PPD))
    try:
        ppd = float(text)
    except ValueError:
        ppd = math.nan
    if not 0 < ppd < math.inf:
        raise UsageError(f"FLIP's ppd is {text!r}: pixels per degree must be a number above 0")

    def per_frame(batch: Batch) -> Series:
        maps = error_maps(batch.pred, batch.gt, ppd)
        return {region: _mean(maps, mask) for region, mask in batch.weights.items()}

    return Scorer(per_frame, (("ppd", f"{ppd:.4g}"),))


METRIC = Metric(
    name="flip",
    label="FLIP",
    unit="1",
    higher_is_better=False,
    definition="LDR-FLIP of 8-bit sRGB at ppd pixels per degree (67.02: 3840 pixels in 0.7 m, seen from 0.7 m), with the "
    "constants of the HPG 2020 paper: the mean of the error map, per frame; then the mean over frames. In a region, the map's "
    "mean under its weights.",
    source="Andersson et al., HPG 2020; values as flip-evaluator 1.7's",
    version=1,
    open=_open,
    regions=None,
    statistic=replace(stats.frame_mean, bounds=(0.0, 1.0)),
)
