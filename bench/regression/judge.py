"""Compares a run with a baseline: the same cells, the same frames, the same definitions, or no verdict at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import stats
from bench.errors import RecordError, UsageError, unknown
from bench.metrics import METRICS
from bench.regression.baseline import Baseline, BaselineCell, Measured, measures, subject_hash
from bench.regression.verdict import MEAN, Judged, Lost, Outcome, Verdict
from bench.report.data import Cell, Run
from bench.report.uncertainty import Groups
from bench.stats.levels import mean

TOLERANCES = {"psnr": 0.2, "psnr@face": 0.2, "ssim": 0.005, "lpips": 0.005, "lmd": 0.05}
"""How much worse a measure may get, in its unit. What isn't here isn't judged, unless a tolerance is asked for."""
LEVEL = 0.95
MOST_LOST = 6
"""Worst frames that are shown."""


@dataclass(frozen=True)
class _Pair:
    """One cell before and after."""

    before: BaselineCell
    after: Mapping[str, Measured]


def judge(run: Run, baseline: Baseline, tolerances: Mapping[str, float] | None = None, seed: int = 0) -> Outcome:
    """Every method on every subject, and its mean over them, in every measure that has a tolerance.

    A row has *regressed* if its mean got worse by more than the tolerance and the paired 95 % interval of the difference
    (:func:`bench.stats.compare`: blocks of frames, seeds and subjects) lies wholly on the worse side.

    :param tolerances: by measure, beside :data:`TOLERANCES`
    :param seed: of the resampling
    :raises bench.errors.UsageError: a tolerance is below 0, or for a measure that the baseline doesn't have
    """
    wanted = _wanted(baseline, tolerances or {})
    cells = {cell.key.name: cell for cell in run.cells}
    pairs, problems = [], []
    for before in baseline.cells:
        pair, found = _pair(before, cells.get(before.cell.name), wanted)
        problems += found
        if pair:
            pairs.append(pair)
    rows = [row for measure, tolerance in wanted.items() for row in _rows(pairs, measure, tolerance, seed)]
    order = {label: place for place, label in enumerate(dict.fromkeys(pair.before.cell.label for pair in pairs))}
    rows.sort(key=lambda row: order[row.method])
    return Outcome(
        str(run.path), wanted, LEVEL, seed, tuple(problems), tuple(rows), _most_lost(pairs, wanted),
        tuple(_notes(run, baseline, wanted)),
    )  # fmt: skip


def _wanted(baseline: Baseline, asked: Mapping[str, float]) -> dict[str, float]:
    there = dict.fromkeys(
        key for cell in baseline.cells for key, m in cell.measures.items() if m.state in ("ok", "identical")
    )
    for measure, tolerance in asked.items():
        if measure not in there:
            raise unknown("measure of the baseline", measure, there)
        if not 0 <= tolerance < np.inf:
            raise UsageError(f"--tolerance {measure}={tolerance:g}: a tolerance is a finite number from 0 on")
    merged = {**TOLERANCES, **asked}
    return {measure: merged[measure] for measure in there if measure in merged}


def _pair(before: BaselineCell, cell: Cell | None, wanted: Mapping[str, float]) -> tuple[_Pair | None, list[str]]:
    """The cell before and after, or why there is no such pair."""
    name = before.cell.name
    if cell is None:
        return None, [f"{name}: the run has no such cell"]
    if cell.record is None or cell.status != "ok":
        return None, [f"{name}: {cell.status}" + (f" ({cell.error})" if cell.error else "")]
    try:
        table = cell.frames()
    except RecordError as error:
        return None, [f"{name}: {error}"]
    if table is None:
        return None, [f"{name}: no frames.parquet"]
    record = cell.record
    facts = (
        ("subject hash", before.subject_hash, subject_hash(record)),
        ("canvas", before.canvas, record.canvas),
        ("test frames", before.ids, [int(i) for i in table.index]),
    )
    problems = [f"{name}: {what} not the baseline's{_change(a, b)}" for what, a, b in facts if a != b]
    pair = _Pair(before, measures(cell, record, table))
    problems += [f"{name}: {why}" for key in wanted if (why := _incomparable(pair, key))]
    return (None if problems else pair), problems


def _change(a: object, b: object) -> str:
    short = isinstance(a, str) and isinstance(b, str)
    return f" ({str(a)[:40] or 'none stated'} → {str(b)[:40] or 'none stated'})" if short else ""


def _incomparable(pair: _Pair, key: str) -> str:
    """Why a measure has no verdict on this cell; empty if it has, or if it had no value before."""
    old, new = pair.before.measures.get(key), pair.after.get(key)
    if old is None or old.state not in ("ok", "identical"):
        return ""
    if new is None or new.state not in ("ok", "identical"):
        return f"{key} is {new.state if new else 'absent'}, and the baseline has it"
    if new.signature != old.signature:
        return f"{key} was measured in another way ({old.signature} → {new.signature})"
    if old.series.shape != new.series.shape or not old.frames:
        return f"{key} has no per-frame values to pair with the baseline's"
    if (np.isnan(old.series) | np.isnan(new.series)).all():
        return f"{key}: no frame is scored in both"
    return ""


def _rows(pairs: Sequence[_Pair], measure: str, tolerance: float, seed: int) -> Iterator[Judged]:
    for method in dict.fromkeys(pair.before.cell.label for pair in pairs):
        own = [p for p in pairs if p.before.cell.label == method and _has(p.before.measures.get(measure))]
        subjects = list(dict.fromkeys(pair.before.cell.subject for pair in own))
        for subject in subjects:
            chosen = [pair for pair in own if pair.before.cell.subject == subject]
            yield _judged(method, subject, chosen, measure, tolerance, seed)
        if len(subjects) > 1:
            yield _judged(method, MEAN, own, measure, tolerance, seed)


def _has(measured: Measured | None) -> bool:
    return measured is not None and measured.state in ("ok", "identical")


def _judged(method: str, subject: str, pairs: Sequence[_Pair], measure: str, tolerance: float, seed: int) -> Judged:
    old = [pair.before.measures[measure] for pair in pairs]
    new = [pair.after[measure] for pair in pairs]
    about = (method, subject, measure, old[0].unit, old[0].higher_is_better, tolerance)
    was, now = (sum(m.state == "identical" for m in side) for side in (old, new))
    if was or now:
        verdict: Verdict = "regressed" if now < was else "improved" if now > was else "ok"
        return Judged(*about, verdict, None, None, None, None, f"identical to the ground truth: {was} → {now} cells")
    statistic = METRICS[measure.partition("@")[0]].statistic
    before, after = _groups(pairs, old), _groups(pairs, new)
    found = stats.compare(after, before, statistic, level=LEVEL, seed=seed)
    interval = None if found.low is None or found.high is None else (found.low, found.high)
    means = mean(before, statistic), mean(after, statistic)
    if not np.isfinite([found.delta, *means]).all():
        return Judged(*about, "unclear", None, None, None, None, "undefined on the frames that both have scored")
    reason = "" if interval else "no interval (too few frames): the tolerance alone decides"
    verdict = _verdict(found.delta, interval, old[0].higher_is_better, tolerance)
    return Judged(*about, verdict, *means, found.delta, interval, reason)


def _groups(pairs: Sequence[_Pair], side: Sequence[Measured]) -> Groups:
    """By subject and seed; a preset is part of the seed's name, as a mean over presets has no meaning but pairs do."""
    groups: Groups = {}
    for pair, measured in zip(pairs, side, strict=True):
        key = pair.before.cell
        groups.setdefault(f"{key.subject} {key.preset}", {})[key.seed] = measured.series
    return groups


def _verdict(delta: float, interval: tuple[float, float] | None, higher: bool, tolerance: float) -> Verdict:
    """A change counts if it is larger than the tolerance and its interval, if it has one, leaves 0 out."""
    if abs(delta) <= tolerance:
        return "ok"
    sure = interval is None or interval[0] > 0 or interval[1] < 0
    if (delta > 0) == higher:
        return "improved" if sure else "ok"
    return "regressed" if sure else "unclear"


def _most_lost(pairs: Sequence[_Pair], wanted: Mapping[str, float]) -> tuple[Lost, ...]:
    """For each cell the frame and measure that lost most, in tolerances; the greatest losses first."""
    found = [lost for pair in pairs if (lost := max(_losses(pair, wanted), key=lambda one: one.loss, default=None))]
    return tuple(sorted(found, key=lambda one: -one.loss)[:MOST_LOST])


def _losses(pair: _Pair, wanted: Mapping[str, float]) -> Iterator[Lost]:
    key = pair.before.cell
    for measure, tolerance in wanted.items():
        old, new = pair.before.measures.get(measure), pair.after.get(measure)
        if old is None or new is None or tolerance == 0 or old.series.ndim != 1 or not old.frames:
            continue
        loss = _worse(old.series, new.series, old.higher_is_better) / tolerance
        place = int(np.argmax(loss))
        if loss[place] > 0:
            yield Lost(
                key.label, key.subject, key.name, measure, place, pair.before.ids[place],
                float(old.series[place]), float(new.series[place]), float(loss[place]),
            )  # fmt: skip


def _worse(before: NDArray[np.float64], after: NDArray[np.float64], higher: bool) -> NDArray[np.float64]:
    """How much each frame got worse; 0 where one side isn't finite."""
    both = np.isfinite(before) & np.isfinite(after)
    change = np.subtract(before, after, out=np.zeros_like(before), where=both)
    return change if higher else -change


def _notes(run: Run, baseline: Baseline, wanted: Mapping[str, float]) -> Iterator[str]:
    names = {cell.cell.name for cell in baseline.cells}
    if new := [cell.key.name for cell in run.cells if cell.key.name not in names]:
        yield f"not in the baseline, so not judged: {', '.join(new)}"
    if absent := [measure for measure in TOLERANCES if measure not in wanted]:
        yield f"the baseline has no {', '.join(absent)}"
