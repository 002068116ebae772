"""Score rendered frames against their ground truth, from files alone: whoever has the frames can score them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import metrics as _metrics
from bench.errors import AbsentError, DataError, UsageError
from bench.metrics import Accumulator, Metric, MetricResult, Settings
from bench.video import Frame, Frames, open_frames

BATCH = 8
"""Frames in memory at once."""
MIN_COVERAGE = 0.9
"""A metric that could score a smaller share of the frames is invalid: its mean would be over the easy ones."""

FrameMask = Callable[[int], NDArray[Any]]
"""Weights ≥ 0 [H, W] of the frame with this id."""


def score(
    pred: str | Path,
    gt: str | Path,
    *,
    expected_ids: Sequence[int] | None = None,
    metrics: Iterable[str] | None = None,
    detector: str = "mediapipe",
    device: str = "cpu",
    mask: FrameMask | None = None,
    region: str = "full",
    canvas: str = "own",
    min_coverage: float = MIN_COVERAGE,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, MetricResult]:
    """Every metric of ``pred`` against ``gt``, by metric name.

    :param pred: a video file or a folder of images named by frame id: exactly the expected frames, no more and no fewer
    :param gt: likewise; a folder may hold more frames than the expected ones
    :param expected_ids: the frames there must be, in order; by default those of ``gt``. A video's frames have no names:
        its frames are the expected ones in order
    :param metrics: names of :data:`bench.metrics.METRICS`; by default all, or with a mask all that have a masked form
    :param detector: the landmark detector, a name of :data:`bench.landmarks.DETECTORS`
    :param device: torch device of the metrics that use a network
    :param mask: what counts in each frame; ``region`` is its name in the signature
    :param canvas: what lies behind the synthesised pixels, for the signature
    :param min_coverage: the share of frames that must be scored (0–1) for a result to be valid
    :param progress: called with (frames done, frames in all)
    :raises bench.errors.DataError: a file is broken, a frame is missing, extra or of the wrong size
    :raises bench.errors.UsageError: a metric or detector doesn't exist, or a metric has no masked form

    A metric whose model can't be had is returned in the state ``absent``, with the remedy as its reason.
    """
    chosen = _choose(metrics, mask, region)
    truth = open_frames(Path(gt))
    ids = truth.ids if expected_ids is None else tuple(expected_ids)
    truth, made = truth.aligned(ids, exactly=False), open_frames(Path(pred)).aligned(ids, exactly=True)
    ready, results = _open(chosen, Settings(detector, device), len(ids))
    for done, (numbers, pred_frames, gt_frames) in _batches(ids, made, truth):
        weights = np.stack([_mask_of(mask, n, gt_frames.shape[1:3]) for n in numbers]) if mask else None
        for accumulator in ready:
            accumulator.add(pred_frames, gt_frames, weights)
        if progress:
            progress(done, len(ids))
    shared = {"canvas": canvas, "region": region, "src": _sources(made, truth)}
    results |= {a.metric.name: a.result(len(ids), min_coverage, **shared) for a in ready}
    return {metric.name: results[metric.name] for metric in chosen}


def _choose(names: Iterable[str] | None, mask: FrameMask | None, region: str) -> list[Metric]:
    if (mask is None) != (region == "full"):
        raise UsageError(f"region {region!r} and the mask don't fit: a mask needs a region's name, 'full' has none")
    if names is None:
        return [metric for metric in _metrics.METRICS.values() if mask is None or metric.takes_mask]
    chosen = [_metrics.get(name) for name in dict.fromkeys(names)]
    if mask is not None and (wrong := [metric.name for metric in chosen if not metric.takes_mask]):
        raise UsageError(f"metric {wrong[0]} has no masked form; score it on the full frame")
    return chosen


def _open(chosen: list[Metric], settings: Settings, expected: int) -> tuple[list[Accumulator], dict[str, MetricResult]]:
    """The metrics that are ready, and the results of those that can't be computed here."""
    ready: list[Accumulator] = []
    results: dict[str, MetricResult] = {}
    for metric in chosen:
        try:
            ready.append(Accumulator(metric, settings))
        except AbsentError as error:
            results[metric.name] = _metrics.absent(metric, str(error), expected)
    return ready, results


Batch = tuple[tuple[int, ...], NDArray[np.uint8], NDArray[np.uint8]]
"""Ids, pred [N, H, W, 3], ground truth [N, H, W, 3]."""


def _batches(ids: Sequence[int], pred: Frames, gt: Frames) -> Iterator[tuple[int, Batch]]:
    """How many frames that makes so far, and the batch; DataError at the first frame whose size isn't its ground truth's."""
    triples = _checked_sizes(zip(ids, pred, gt, strict=True), pred.path)
    done = 0
    while batch := list(islice(triples, BATCH)):
        numbers, made, truth = zip(*batch, strict=True)
        done += len(batch)
        yield done, (numbers, np.stack(made), np.stack(truth))


def _checked_sizes(triples: Iterable[tuple[int, Frame, Frame]], path: Path) -> Iterator[tuple[int, Frame, Frame]]:
    size: tuple[int, ...] | None = None
    for number, pred, gt in triples:
        size = size or gt.shape
        if pred.shape != gt.shape or gt.shape != size:
            found, expected = (f"{shape[1]}×{shape[0]}" for shape in (pred.shape, gt.shape))
            first = f", the first frame {size[1]}×{size[0]}" if gt.shape != size else ""
            raise DataError(
                f"{path}: frame {number} is {found}, its ground truth {expected}{first}: sizes must be equal"
            )
        yield number, pred, gt


def _mask_of(mask: FrameMask, number: int, size: tuple[int, ...]) -> NDArray[np.float32]:
    weights = np.asarray(mask(number), np.float32)
    if weights.shape != size:
        raise DataError(f"mask of frame {number} is {weights.shape}, the frame {size}: rows and columns must be equal")
    return weights


def _sources(pred: Frames, gt: Frames) -> str:
    """``src`` of the signature: one word if both went through the same, else ``pred/gt``."""
    return pred.source if pred.source == gt.source else f"{pred.source}/{gt.source}"
