"""Sharpness: the share of edges too narrow to look blurred (CPBD), compared with the ground truth's."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import stats, threads
from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import Batch, Frames, Mask, Values, check_mask, check_pair

BLOCK = 64
"""Side in pixels of the squares that have a contrast of their own; what is left of the frame at right and below doesn't count."""
FAINT = 50
"""Up to this contrast, in 8-bit levels, a block's edges may be wider."""
NARROW, NARROW_FAINT = 3, 5
"""Widest edge in pixels that isn't seen as blurred: in a block of more contrast than :data:`FAINT`, and of less."""
REACH = 100
"""Beyond its neighbours, an edge is followed so many pixels to each side."""

Grey = NDArray[np.uint8]
"""[H, W]."""
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


def cpbd(frames: Frames, mask: Mask | None = None) -> Values:
    """Cumulative probability of blur detection of each frame: 0…1, higher is sharper; no reference is needed.

    The share of vertical edges whose probability of being seen as blurred, ``1 - exp(-(width / w)^3.6)``, is at most 63 %:
    those no wider than ``w``, which is 3 pixels, or 5 in a block of 64×64 whose contrast is at most 50 levels.

    :param frames: uint8 RGB [N, H, W, 3]
    :param mask: weights ≥ 0 [N, H, W] of the edges' pixels; an edge's width is followed beyond the mask
    :returns: float64 [N]; 0 for a frame without an edge, NaN where no whole block has weight
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: Narvekar & Karam, "A no-reference image blur metric based on the cumulative probability of blur detection (CPBD)",
    IEEE TIP 20(9), 2011, with the edge detector and the widths (Marziliano et al., ICIP 2002) of the Python package ``cpbd``
    1.0.7, which papers of the field quote. Its test that a block has edges at all is left out: it fails flat blocks only.

    >>> edge = np.zeros((1, 64, 64, 3), np.uint8)
    >>> edge[:, :, 32:] = 200
    >>> edge[:, :, 31] = 100
    >>> float(cpbd(edge)[0])
    1.0
    """
    check_pair(frames, frames)
    if mask is not None:
        check_mask(mask, frames)
    return _share(*_counted(frames), mask)


def _counted(frames: Frames) -> tuple[Flags, Flags]:
    """Edge pixels and, of these, the sharp ones: [N, h, w] each, cut to whole blocks."""
    whole = (len(frames), *(side - side % BLOCK for side in frames.shape[1:3]))
    edges, sharp = np.zeros(whole, bool), np.zeros(whole, bool)

    def fill(i: int) -> None:
        grey = np.asarray(Image.fromarray(frames[i]).convert("L"))
        rows, columns = np.nonzero(_edges(grey)[: whole[1], : whole[2]])
        widths = _widths(grey, rows, columns)
        rows, columns, widths = rows[widths > 0], columns[widths > 0], widths[widths > 0]
        edges[i, rows, columns] = True
        sharp[i, rows, columns] = widths <= _limits(grey)[rows // BLOCK, columns // BLOCK]

    threads.each(fill, range(len(frames)))
    return edges, sharp


def _edges(grey: Grey) -> Flags:
    """Where the horizontal gradient is a local maximum along its row or its column, but for the frame's outermost pixels."""
    # Eight times the gradient, squared: whole numbers, so that ties are the same on every machine.
    strength = cv2.Sobel(grey, cv2.CV_16S, 1, 0, borderType=cv2.BORDER_REFLECT).astype(np.int32) ** 2
    strength[strength <= 16 * np.sqrt(strength.mean())] = 0
    centre = strength[1:-1, 1:-1]
    across = (centre > strength[1:-1, :-2]) & (centre > strength[1:-1, 2:])
    along = (centre > strength[:-2, 1:-1]) & (centre > strength[2:, 1:-1])
    return np.pad(across | along, 1)


def _widths(grey: Grey, rows: Places, columns: Places) -> Places:
    """Pixels along the row from the extremum left of each edge to that right of it; 0 if its gradient isn't about horizontal."""
    levels = grey.astype(np.int16)
    across = levels[rows, columns + 1] - levels[rows, columns - 1]
    down = levels[rows + 1, columns] - levels[rows - 1, columns]
    steep = np.abs(down) <= math.tan(math.radians(22.5)) * np.abs(across)
    # A gradient that is exactly vertical counts as pointing right: so does the package.
    direction = np.where(across == 0, 1, np.sign(across) * steep)
    steps = np.sign(np.diff(levels, axis=1, prepend=levels[:, :1]))  # [r, c]: from pixel c - 1 to c
    width = steps.shape[1]
    turns = np.diff(steps, axis=1, prepend=np.int16(2)) != 0
    place = np.arange(width, dtype=np.int16)
    first = np.maximum.accumulate(np.where(turns, place, 0), axis=1)  # step with which each run of one direction begins
    ends = np.where(np.roll(turns, -1, axis=1), place, width)[:, ::-1]
    last = np.minimum.accumulate(ends, axis=1)[:, ::-1]
    before, after = columns - 1, np.minimum(columns + 2, width - 1)
    left = np.where(steps[rows, before] == direction, columns - first[rows, before], 0)
    right = np.where(steps[rows, after] == direction, last[rows, after] - columns - 1, 0)
    right[columns + 2 == width] = 0
    return np.asarray((np.minimum(left, REACH) + np.minimum(right, REACH) + 2) * (direction != 0))


def _limits(grey: Grey) -> NDArray[np.intp]:
    """Widest sharp edge of each block."""
    high, wide = (side // BLOCK for side in grey.shape)
    blocks = grey[: high * BLOCK, : wide * BLOCK].reshape(high, BLOCK, wide, BLOCK)
    contrast = blocks.max(axis=(1, 3)) - blocks.min(axis=(1, 3))
    return np.where(contrast > FAINT, NARROW, NARROW_FAINT)


def _share(edges: Flags, sharp: Flags, mask: Mask | None) -> Values:
    weights = np.ones(edges.shape) if mask is None else mask[:, : edges.shape[1], : edges.shape[2]].astype(np.float64)
    total, narrow = ((weights * flags).sum(axis=(1, 2)) for flags in (edges, sharp))
    share = np.divide(narrow, total, out=np.zeros(len(total)), where=total > 0)
    return np.where(weights.any(axis=(1, 2)), share, np.nan)


def _shortfall(stacks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the first column less mean of the second, at most 0, of each resample [B, N, 2]."""
    short = stacks[..., 0] - stacks[..., 1]
    scored = ~np.isnan(short)
    return np.asarray(np.minimum(np.where(scored, short, 0.0).sum(axis=1) / scored.sum(axis=1), 0.0))


def _open(settings: Settings) -> Scorer:
    def per_frame(batch: Batch) -> Series:
        pred, gt = _counted(batch.pred), _counted(batch.gt)
        return {
            region: np.stack([_share(*pred, mask), _share(*gt, mask)], axis=1) for region, mask in batch.weights.items()
        }

    return Scorer(per_frame, (("of", "cpbd"), ("block", str(BLOCK))))


METRIC = Metric(
    name="sharpness",
    label="Sharpness",
    unit="1",
    higher_is_better=True,
    definition="CPBD: the share of edge pixels no wider than 3 px (5 in a 64x64 block whose grey values differ by at most 50). Edge "
    "pixels are strict local maxima, along the row or the column, of the squared horizontal Sobel gradient (weights / 8) of "
    "8-bit grey (ITU-R 601), where it exceeds twice the root of its mean and the central-difference gradient is within 22.5 "
    "degrees of horizontal; their width is 2 plus the pixels over which grey goes on rising or falling beyond the left and the "
    "right neighbour. The number is pred's mean over frames less the ground truth's, at most 0: noise and block edges are narrow "
    "too, so more narrow edges than the footage has aren't better. In a region, edge pixels count by its weights.",
    source="Narvekar & Karam, IEEE TIP 20(9), 2011; values of a frame as the Python package cpbd 1.0.7's",
    version=1,
    open=_open,
    regions=None,
    columns=("pred", "gt"),
    statistic=stats.Batched(_shortfall, bounds=(-1.0, 0.0)),
    aggregation="mean-shortfall",
    undefined=f"frames are smaller than one block of {BLOCK}×{BLOCK} pixels",
)
