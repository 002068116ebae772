"""Score rendered frames against their ground truth, from files alone: whoever has the frames can score them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import metrics as _metrics
from bench import protocol as _protocol
from bench import threads
from bench.errors import AbsentError, DataError
from bench.metrics import FULL, Batch, Metric, MetricResult, Scorer, Settings, Undefined, aggregate
from bench.metrics.batch import Values
from bench.protocol import Protocol
from bench.protocol.streams import Pair, open_pair
from bench.regions import REGIONS, SYNTHESISED
from bench.sound import heard
from bench.subject import Subject
from bench.video import Frame

BATCH = 8
"""Frames of a batch."""
AHEAD = 2
"""Batches that a slow metric may be behind a fast one."""

FrameMask = Callable[[int], NDArray[Any]]
"""Weights ≥ 0 [H, W] of the frame with this id."""


def score(
    pred: str | Path,
    gt: str | Path | None = None,
    *,
    subject: str | Path | Subject | None = None,
    protocol: str | Protocol = _protocol.DEFAULT,
    expected_ids: Sequence[int] | None = None,
    metrics: Iterable[str] | None = None,
    detector: str | None = None,
    device: str = "cpu",
    masks: Mapping[str, FrameMask] | None = None,
    sound: Path | None = None,
    quantised: str = "u8",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, MetricResult]:
    """Every metric of ``pred`` against the ground truth, by metric name, each with its values in regions.

    :param pred: a video file or a folder of images named by frame id: exactly the expected frames, no more and no fewer
    :param gt: likewise; a folder may hold more frames than the expected ones. None: the subject's
    :param subject: a subject or its name or folder; regions, and some protocols, need one
    :param protocol: a protocol or its name (``bench protocols list``)
    :param expected_ids: the frames there must be, in order; by default the subject's test frames, else those of ``gt``.
        A video's frames have no names: its frames are the expected ones in order
    :param metrics: names of :data:`bench.metrics.METRICS`; by default the protocol's
    :param detector: the landmark detector, a name of :data:`bench.landmarks.DETECTORS`; by default the protocol's
    :param device: torch device of the metrics that use a network
    :param masks: further regions by name, or ``synthesised``: what counts in each frame
    :param sound: the sound of the expected frames, from the first one on; by default the subject's, else that of ``gt``
    :param quantised: how ``pred`` became 8 bits, for the signature: ``u8`` says that it came so
    :param progress: called with (frames done, frames in all)
    :raises bench.errors.DataError: a file is broken, a frame is missing, extra or of the wrong size
    :raises bench.errors.UsageError: a name doesn't exist, or the protocol needs a subject

    A metric whose model can't be had is returned in the state ``absent``, with the remedy as its reason.
    """
    rules = _protocol.get(protocol) if isinstance(protocol, str) else protocol
    person = _resolved(subject)
    with (
        open_pair(Path(pred), Path(gt) if gt else None, rules, person, expected_ids) as pair,
        heard(sound, person, Path(gt) if gt else None, pair.ids) as audible,
    ):
        settings = Settings(detector or rules.detector, device, person.fps if person else 25.0, audible)
        names = list(dict.fromkeys(metrics if metrics is not None else rules.metrics))
        chosen = [_metrics.get(name) for name in names]
        tallies, missing = _open(chosen, settings, rules, pair.expected)
        regions = _regions(rules, person, masks or {})
        for done in _scored(tallies, _batches(pair, regions), at_once=device == "cpu"):
            if progress:
                progress(done, len(pair.ids))
        shared = {"canvas": rules.canvas, "quant": quantised, "src": pair.source} | _truth_part(rules, gt)
        results = missing | {t.metric.name: t.result(pair.expected, rules.min_coverage, shared) for t in tallies}
    return {name: results[name] for name in names}


@dataclass(frozen=True)
class _Tally:
    """A metric at work."""

    metric: Metric
    scorer: Scorer
    values: dict[str, list[Values]]

    def add(self, batch: Batch) -> None:
        """Score one batch."""
        taken = {name: mask for name, mask in batch.regions.items() if self.metric.takes(name)}
        seen = batch if len(taken) == len(batch.regions) else replace(batch, regions=taken)
        for region, values in self.scorer.per_frame(seen).items():
            self.values.setdefault(region, []).append(values)

    def result(self, expected: int, min_coverage: float, shared: Mapping[str, str]) -> MetricResult:
        """Sum up; a region may be empty in many frames, so that coverage bounds the whole frame only."""
        results = {}
        for region, parts in self.values.items():
            bound = min_coverage if region == FULL else 0.0
            values = np.concatenate(parts)
            results[region] = aggregate(
                self.metric, self.scorer, values, expected, bound, **{**shared, "region": region}
            )
        return replace(results.pop(FULL), regions=results)


def _resolved(subject: str | Path | Subject | None) -> Subject | None:
    if subject is None or isinstance(subject, Subject):
        return subject
    from bench import catalogue

    return catalogue.resolve(str(subject))


def _truth_part(rules: Protocol, gt: str | Path | None) -> dict[str, str]:
    """Named only where it isn't the frame as filmed; what a given file shows, nobody knows."""
    return {"truth": rules.truth.replace("_", "-")} if gt is None and rules.truth != "frame" else {}


def _open(
    chosen: list[Metric], settings: Settings, rules: Protocol, expected: int
) -> tuple[list[_Tally], dict[str, MetricResult]]:
    """The metrics that are ready, and the results of those that can't be computed here."""
    ready: list[_Tally] = []
    missing: dict[str, MetricResult] = {}
    for metric in chosen:
        try:
            scorer = metric.open(replace(settings, options=rules.metrics.get(metric.name, {})))
            ready.append(_Tally(metric, scorer, {}))
        except (AbsentError, Undefined) as error:
            missing[metric.name] = _metrics.unopened(metric, error, expected)
    return ready, missing


def _scored(tallies: list[_Tally], batches: Iterator[tuple[int, Batch]], at_once: bool) -> Iterator[int]:
    """Score batch by batch; yields how many frames are done.

    Where several threads are allowed, the next batch is decoded meanwhile and each metric has its lane: it gets the batches one at
    a time and in order, but need not wait for the others. With one thread, all is done in turn, with the same numbers.
    """
    with threads.one_torch_thread(), ExitStack() as stack:
        if threads.allowed() > 1:
            batches = stack.enter_context(closing(threads.ahead(batches)))
        if threads.allowed() == 1 or not at_once:
            for done, batch in batches:
                for tally in tallies:
                    tally.add(batch)
                yield done
            return
        lanes = [stack.enter_context(ThreadPoolExecutor(1, f"bench-{tally.metric.name}")) for tally in tallies]
        begun: deque[tuple[int, list[Future[None]]]] = deque()
        stack.callback(lambda: [future.cancel() for _, futures in begun for future in futures])  # where one has failed
        for done, batch in batches:
            begun.append((done, [lane.submit(t.add, batch) for lane, t in zip(lanes, tallies, strict=True)]))
            if len(begun) > AHEAD:
                yield _finished(begun)
        while begun:
            yield _finished(begun)


def _finished(begun: deque[tuple[int, list[Future[None]]]]) -> int:
    """Wait for the oldest batch; raises what went wrong in it."""
    done, futures = begun[0]
    for future in futures:
        future.result()
    begun.popleft()
    return done


def _regions(rules: Protocol, subject: Subject | None, masks: Mapping[str, FrameMask]) -> dict[str, FrameMask]:
    """The masks of the protocol's regions, where there is a subject to take them from, and the caller's."""

    def of(region: str, person: Subject) -> FrameMask:
        return lambda number: REGIONS[region](person.frame(number))

    own = {name: of(name, subject) for name in rules.regions if name != SYNTHESISED} if subject else {}
    return {**own, **masks}


def _batches(pair: Pair, regions: Mapping[str, FrameMask]) -> Iterator[tuple[int, Batch]]:
    """How many frames that makes so far, and the batch; DataError at the first frame whose size isn't its ground truth's."""
    triples = _checked_sizes(zip(pair.ids, pair.pred, pair.gt, strict=True), pair.pred.path)
    done, last, before = 0, None, None
    while some := list(islice(triples, BATCH)):
        ids, made, truth = zip(*some, strict=True)
        masks = {name: np.stack([_mask_of(mask, i, truth[0].shape[:2]) for i in ids]) for name, mask in regions.items()}
        follows = last is not None and ids[0] == last + 1
        yield done + len(ids), Batch(np.stack(made), np.stack(truth), masks, ids, before if follows else None)
        done, last, before = done + len(ids), ids[-1], (made[-1][None], truth[-1][None])


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


def _mask_of(mask: FrameMask, number: int, size: tuple[int, ...]) -> NDArray[Any]:
    weights = np.asarray(mask(number))
    if weights.shape != size:
        raise DataError(f"mask of frame {number} is {weights.shape}, the frame {size}: rows and columns must be equal")
    return weights
