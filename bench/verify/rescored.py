"""The scores of a finished cell, recomputed from its frames and held against its record and table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from typing import Protocol as Interface

import numpy as np

from bench import protocol, system
from bench.errors import UsageError
from bench.protocol import Protocol
from bench.records import MetricRecord, Record
from bench.run.layout import CellFolder
from bench.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 1e-6
"""Of numbers that other versions or another machine made; relative for those above 1."""
_MACHINE = ("cpu", "cores", "memory", "os", "gpu")


class Rescore(Interface):
    """Scores a cell's frames: :func:`bench.run.scores.rescore`."""

    def __call__(
        self,
        folder: CellFolder,
        subject: Subject,
        protocol: Protocol,
        *,
        metrics: Sequence[str],
        detector: str,
        device: str = "cpu",
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[dict[str, MetricRecord], pd.DataFrame]: ...


@dataclass
class Comparison:
    """Recorded and recomputed numbers, side by side."""

    basis: str
    """The tolerance, and why."""
    compared: int = 0
    """Numbers looked at, those of single frames included."""
    wrong: list[str] = field(default_factory=list)
    unproved: list[str] = field(default_factory=list)


def differences(
    folder: CellFolder,
    record: Record,
    table: pd.DataFrame | None,
    subject: Subject,
    rescore: Rescore | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Recompute a cell's scores and compare every value, bound of an interval, region and single frame.

    The same versions on the same machine must give the same bits; anything else may differ by :data:`TOLERANCE`.

    :param table: the cell's ``frames.parquet``; None: it can't be read
    """
    device = _device(record)
    tolerance, basis = _tolerance(record, device)
    found = Comparison(basis)
    rules = _rules(record, found)
    if rules is None:
        return found
    if rescore is None:
        from bench.run import scores

        rescore = scores.rescore
    with _as_then(record):
        made, frames = rescore(
            folder, subject, rules, metrics=list(record.metrics), detector=record.provenance.get("detector", rules.detector),
            device=device, progress=progress,
        )  # fmt: skip
    same_code = record.versions.get("talkbench") == system.versions().get("talkbench")
    usable = [name for name, old in record.metrics.items() if _comparable(name, old, made.get(name), same_code, found)]
    for name in usable:
        _compare_metric(name, record.metrics[name], made[name], tolerance, found)
    if table is not None:
        _compare_tables(table, frames, [c for c in frames if _metric_of(c) in usable], tolerance, found)
    return found


def _device(record: Record) -> str:
    """Where the scores were computed, if there is such a device here; else the CPU."""
    return system.pick_device("auto") if record.provenance.get("device", "cpu") != "cpu" else "cpu"


def _tolerance(record: Record, device: str) -> tuple[float, str]:
    then, now, machine = record.versions, system.versions(), system.hardware()
    names = sorted(then.keys() | now)
    others = [f"{k} {then.get(k, 'none')} → {now.get(k, 'none')}" for k in names if then.get(k) != now.get(k)]
    if device != record.provenance.get("device", "cpu") or any(
        record.hardware.get(k) != machine.get(k) for k in _MACHINE
    ):
        others.append("another machine")
    if others:
        return TOLERANCE, f"tolerance {TOLERANCE:g}: {', '.join(others)}"
    return 0.0, "tolerance 0: same versions, same machine"


@contextmanager
def _as_then(record: Record) -> Iterator[None]:
    """As many threads as the cell had, because networks sum up in an order that depends on it; nothing from the cache."""
    import torch

    threads, wish = torch.get_num_threads(), os.environ.get("BENCH_CACHE")
    count = record.hardware.get("threads", "")
    torch.set_num_threads(int(count) if count.isdigit() and int(count) else threads)
    os.environ["BENCH_CACHE"] = "off"
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if wish is None:
            del os.environ["BENCH_CACHE"]
        else:
            os.environ["BENCH_CACHE"] = wish


def _rules(record: Record, found: Comparison) -> Protocol | None:
    """The protocol of the record, if this version has just that one."""
    name, _, version = record.provenance.get("protocol", "").partition(":")
    try:
        rules = protocol.get(name)
    except UsageError as error:
        found.unproved.append(f"not recomputed: {error}")
        return None
    if version and version != str(rules.version):
        found.unproved.append(f"not recomputed: they were taken under {name}:{version}, this version has {rules.id}")
        return None
    return rules


def _comparable(name: str, old: MetricRecord, new: MetricRecord | None, same_code: bool, found: Comparison) -> bool:
    """Whether both are the same measure, taken; if not, why is noted."""
    if new is None:
        found.unproved.append(f"{name}: was not recomputed")
    elif old.state == "absent":
        found.unproved.append(f"{name}: has no value in the record ({old.reason})")
    elif new.state == "absent":
        found.unproved.append(f"{name}: can't be recomputed here ({new.reason})")
    elif old.signature != new.signature:
        lines = found.wrong if same_code else found.unproved
        lines.append(f"{name}: recorded as {old.signature}, recomputed as {new.signature}")
    else:
        return True
    return False


def _compare_metric(name: str, old: MetricRecord, new: MetricRecord, tolerance: float, found: Comparison) -> None:
    then, now = _numbers(old), _numbers(new)
    for what in dict.fromkeys((*then, *now)):
        found.compared += 1
        a, b = then.get(what), now.get(what)
        if not _agree(a, b, tolerance):
            found.wrong.append(f"{name}{what}: recorded {_shown(a)}, recomputed {_shown(b)}")
    for what in ("state", "n", "unit", "higher_is_better"):
        if getattr(old, what) != getattr(new, what):
            found.wrong.append(f"{name}: {what} is {getattr(old, what)} in the record, {getattr(new, what)} recomputed")


def _numbers(metric: MetricRecord) -> dict[str, float | None]:
    """Every number of a metric's record, by what it is."""
    numbers = {"": metric.value}
    intervals = {"": metric.ci95}
    for region, value in metric.regions.items():
        numbers[f" in {region}"] = value
    for region, bounds in metric.regions_ci95.items():
        intervals[f" in {region}"] = bounds
    for what, bounds in intervals.items():
        numbers[f"{what}, lower bound"], numbers[f"{what}, upper bound"] = bounds or (None, None)
    return numbers


def _agree(a: float | None, b: float | None, tolerance: float) -> bool:
    if a is None or b is None:
        return a is b
    return a == b or abs(a - b) <= tolerance * max(1.0, abs(b))


def _shown(number: float | None) -> str:
    return "none" if number is None else repr(float(number))  # all digits: the difference may be in the last one


def _metric_of(column: str) -> str:
    """The metric of a table's column: ``psnr_face`` → psnr, ``blink.pred`` → blink."""
    return column.split("_")[0].split(".")[0]


def _compare_tables(
    old: pd.DataFrame, new: pd.DataFrame, columns: Sequence[str], tolerance: float, found: Comparison
) -> None:
    ids = new["id"].tolist()
    if old["id"].tolist() != ids:
        found.wrong.append("the table's frames are not the subject's test frames")
        return
    for column in columns:
        if column not in old:
            found.wrong.append(f"column {column} is missing from the table")
            continue
        then, now = (table[column].to_numpy(np.float64) for table in (old, new))
        found.compared += len(ids)
        with np.errstate(invalid="ignore"):  # inf − inf
            near = np.abs(then - now) <= tolerance * np.maximum(1.0, np.abs(now))
        if (off := np.flatnonzero(~(near | (then == now) | (np.isnan(then) & np.isnan(now))))).size:
            first, more = off[0], f", and {off.size - 1} more" if off.size > 1 else ""
            numbers = f"recorded {_shown(then[first])}, recomputed {_shown(now[first])}"
            found.wrong.append(f"{column} of frame {ids[first]}: {numbers}{more}")
