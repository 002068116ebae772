"""What a table shows of one cell: its measures and times, each with the state it is in and what it may be compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.metrics import METRICS
from bench.records import MetricRecord, Record
from bench.report.data import Cell

State = Literal["ok", "identical", "undefined", "elsewhere", "absent", "invalid", "failed", "corrupt", "pending"]
Mark = Literal["", "best", "tie"]
Section = Literal["main", "more", "regions", "timing"]


@dataclass(frozen=True)
class Column:
    """A column: values in it were measured in one way."""

    key: str
    title: str
    section: Section = "main"
    unit: str = ""
    digits: int | None = None
    """Decimals shown; None: three significant figures."""
    higher: bool | None = None
    """Whether higher is better; None: neither is."""
    scale: float = 1.0
    group: str = ""
    """The signature that its values share."""

    @property
    def measure(self) -> str:
        """Name of the metric, if it is one."""
        return self.key.partition(" (")[0].partition("@")[0]

    @property
    def region(self) -> str:
        """Where it is taken."""
        return self.key.partition(" (")[0].partition("@")[2] or "full"

    @property
    def is_cost(self) -> bool:
        """Whether it holds a time or a size, or what was copied, not a measure of frames."""
        return self.key.partition(":")[0] in _TIMES

    def text(self, value: Value) -> str:
        """How ``value`` is written, without its unit."""
        if value.state == "identical":
            return "∞ (identical)"
        if value.value is None:
            return value.state if value.state != "elsewhere" and (value.state != "absent" or value.reason) else "—"
        return self.number(value.value)

    def with_interval(self, value: Value) -> str:
        """The same with half the width of its 95 % interval: ``38.93 ±0.41``."""
        if value.value is None or value.ci95 is None:
            return self.text(value)
        return f"{self.text(value)} ±{self.number((value.ci95[1] - value.ci95[0]) / 2)}"

    def number(self, value: float) -> str:
        """A number in this column's digits."""
        scaled = value * self.scale
        digits = self.digits
        if digits is None:
            magnitude = math.floor(math.log10(abs(scaled))) if scaled and math.isfinite(scaled) else 0
            digits = min(max(2 - magnitude, 0), 3)
        return f"{scaled:.{digits}f}"

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return {True: "↑", False: "↓", None: ""}[self.higher]


@dataclass(frozen=True)
class Value:
    """One number, or why there is none."""

    value: float | None = None
    state: State = "absent"
    reason: str | None = None
    signature: str = ""
    """Values are ranked against each other only where this is equal: a metric's signature, or a time's machine."""
    n: tuple[int, int] = (0, 0)
    """(frames scored, frames expected)"""
    ci95: tuple[float, float] | None = None
    mark: Mark = ""
    """``best``: better than every rival by more than chance; ``tie``: it, or what can't be told apart from the best."""

    @property
    def sort_key(self) -> float | None:
        """What a column is sorted by; None sorts last."""
        return math.inf if self.state == "identical" else self.value


_DIGITS = {"psnr": 2, "ssim": 4, "lpips": 4, "lmd": 3, "ms-ssim": 4, "flip": 4}
_HEADLINES = ("psnr", "ssim", "lpips", "lmd")
_MAIN = ("psnr", "ssim", "lpips", "lmd", "psnr@face")
_TIMES = {
    "fps": Column("fps", "FPS", higher=True),
    "train": Column("train", "train", unit="s", higher=False),
    "copied": Column("copied", "copied", unit="%", digits=1, scale=100.0),
    "fps:end_to_end": Column("fps:end_to_end", "end-to-end FPS", "timing", higher=True),
    "p95": Column("p95", "render p95", "timing", "ms", higher=False),
    "memory": Column("memory", "peak memory", "timing", "GiB", digits=2, scale=2.0**-30),
}


def without(signature: str, *keys: str) -> str:
    """A signature less some of its parts; a text that is no signature stays as it is.

    >>> without("PSNR|canvas:own|region:full|v:1", "canvas")
    'PSNR|region:full|v:1'
    """
    return "|".join(part for part in signature.split("|") if part.partition(":")[0] not in keys)


def comparable(signature: str) -> str:
    """What a column's values have in common: their signature but for the coverage, which belongs to the result."""
    return without(signature, "n")


def split_reason(columns: Sequence[Column]) -> str:
    """Why these columns of one measure aren't one: the parts in which their signatures differ."""
    parts = [dict(part.partition(":")[::2] for part in column.group.split("|")[1:]) for column in columns]
    keys = [key for key in dict.fromkeys(key for p in parts for key in p) if len({p.get(key) for p in parts}) > 1]
    told = [
        f"{column.title}: " + ", ".join(f"{key} {p.get(key, 'not stated')}" for key in keys)
        for column, p in zip(columns, parts, strict=True)
    ]
    return "not one column, because they were measured in different ways: " + "; ".join(told)


def cell_values(cell: Cell) -> dict[str, Value]:
    """Everything measured on a cell, keyed ``psnr``, ``psnr@mouth``, ``fps``, ``train:<stage>`` …

    Empty for a failed cell. An invalid one still has what could be measured: to be looked at, not to be averaged.
    """
    record = cell.record
    if record is None or cell.status == "failed":
        return {}
    values = {key: value for name, metric in record.metrics.items() for key, value in _metric(name, metric)}
    return values | {key: value for key, value in _times(record) if value.value is not None}


def missing(cell: Cell) -> Value:
    """What stands in a column that ``cell`` has nothing for."""
    if cell.status in ("ok", "invalid"):
        return Value()
    return Value(state=cell.status, reason=cell.error)


def _metric(name: str, metric: MetricRecord) -> Iterator[tuple[str, Value]]:
    signature = comparable(metric.signature)
    value = Value(metric.value, metric.state, metric.reason, signature, metric.n, metric.ci95)
    yield name, value
    for region, number in metric.regions.items():
        if region == "full":
            continue
        parts = [f"region:{region}" if part.startswith("region:") else part for part in signature.split("|")]
        # A part of identical frames is identical.
        none: State = "identical" if metric.state == "identical" else "undefined"
        state: State = none if number is None else "ok"
        ci95 = metric.regions_ci95.get(region)
        yield f"{name}@{region}", replace(value, value=number, state=state, signature="|".join(parts), ci95=ci95)


def _times(record: Record) -> Iterator[tuple[str, Value]]:
    machine = "|".join(f"{key}:{text}" for key, text in sorted(record.hardware.items()))
    fps, seconds = record.fps, record.train_seconds
    numbers: dict[str, float | None] = {
        "fps": fps.render,
        "train": seconds.get("total"),
        "copied": record.copied_share,
        "fps:end_to_end": fps.end_to_end,
        "p95": fps.render_p95_ms,
        "memory": record.peak_memory_bytes,
    }
    numbers |= {f"train:{stage}": spent for stage, spent in seconds.items() if stage != "total"}
    for key, number in numbers.items():
        yield key, Value(number, "ok", signature=machine)


def columns(cells: Sequence[Cell]) -> list[Column]:
    """The columns that ``cells`` need: one for each measure and signature, and one for each time."""
    groups: dict[str, dict[str, None]] = {key: {} for key in _MAIN}
    known = {
        name: MetricRecord(value=0, unit=m.unit, higher_is_better=m.higher_is_better) for name, m in METRICS.items()
    }
    times: dict[str, None] = {}
    for cell in cells:
        measures = cell.record.metrics if cell.record else {}
        known = {**measures, **known}
        for key, value in cell_values(cell).items():
            if key.partition("@")[0] not in measures:
                times[key] = None
            elif value.state in ("ok", "identical"):
                groups.setdefault(key, {})[comparable(value.signature)] = None
            else:
                groups.setdefault(key, {})
    wanted = [key for key in groups if key != "psnr@face" or groups[key]]
    # The regions of one metric stand together, in the order in which the metrics do.
    order = [*_MAIN, *dict.fromkeys(key.partition("@")[0] for key in wanted)]
    wanted.sort(key=lambda key: order.index(key if key in order else key.partition("@")[0]))
    fixed = [column for column in _TIMES.values() if column.section == "main" or column.key in times]
    stages = [Column(key, f"train: {key[6:]}", "timing", "s") for key in times if key.startswith("train:")]
    return [c for key in wanted for c in _measure_columns(key, list(groups[key]), known)] + fixed + stages


def _measure_columns(key: str, groups: list[str], known: dict[str, MetricRecord]) -> Iterator[Column]:
    name, _, region = key.partition("@")
    metric = known[name]
    title = f"{METRICS[name].label if name in METRICS else name} {region}".strip()
    section: Section = "main" if key in _MAIN else "regions" if region else "more"
    unit = "" if metric.unit == "1" else metric.unit
    for index, group in enumerate(groups or [""]):
        mark = f" ({chr(ord('a') + index)})" if len(groups) > 1 else ""
        yield Column(
            key + mark, title + mark, section, unit, _DIGITS.get(name), metric.higher_is_better, group=group
        )  # fmt: skip


def pick(values: dict[str, Value], column: Column) -> Value | None:
    """The value of a cell that belongs into ``column``: measured in its way, or in none because it is absent."""
    value = values.get(column.key.partition(" (")[0])
    if value is None:
        return None
    fits = not column.group or not value.signature or comparable(value.signature) == column.group
    return (
        value
        if fits
        else Value(state="elsewhere", reason="measured in another way: see the other column of this measure")
    )
