"""A table of a paper with this run's numbers beside it: each side in columns of its own, nothing ranked across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.metrics import METRICS
from bench.report.data import Run
from bench.report.gaps import Gap, not_run, unfinished
from bench.report.published import Published, PublishedRow
from bench.report.rows import Row, Summary
from bench.report.values import Column, Value

NONE = "–"
"""What stands where there is no number."""
QUALITY = ("psnr", "lpips", "lmd", "ssim")
"""The order of DEGSTalk's tables."""
_SPEED = {"train_hours": ("train", "train", "h"), "fps": ("fps", "FPS", "")}
"""Field of a published row → column of the summary, title, the paper's unit."""


@dataclass(frozen=True)
class Measure:
    """What the paper and this run both state."""

    field: str
    """Attribute of :class:`bench.report.published.PublishedRow`."""
    title: str
    paper_unit: str
    columns: tuple[Column, ...]
    """This run's: one for each way in which it was measured."""

    @property
    def is_speed(self) -> bool:
        """Whether it depends on the machine."""
        return self.field in _SPEED


@dataclass(frozen=True)
class Line:
    """A row of the paper, one of ours, or both."""

    title: str
    label: str
    """``degstalk[-E]``"""
    paper: PublishedRow | None
    ours: Row | None
    preset: str = ""
    """Of the row that would fill ``ours``; empty: the run's first."""

    def paper_text(self, measure: Measure) -> str:
        """The paper's number as it is printed there."""
        value = getattr(self.paper, measure.field, None)
        return NONE if value is None else str(value)

    def value(self, column: Column) -> Value:
        """Our mean; without a number where the row has no cell that may be used."""
        return self.ours.values[column.key] if self.ours and self.ours.status == "ok" else Value()

    def number(self, column: Column) -> str:
        """Our mean, or a dash."""
        value = self.value(column)
        return NONE if value.value is None and value.state != "identical" else column.text(value)

    def text(self, column: Column) -> str:
        """Our mean with half the width of its 95 % interval, where it has one."""
        value = self.value(column)
        return self.number(column) if value.value is None else column.with_interval(value)


@dataclass(frozen=True)
class PaperTable:
    """The table and all that has to be said below it."""

    title: str
    published: Published | None
    """None: no paper has such a table, and only our columns are shown."""
    measures: tuple[Measure, ...]
    lines: tuple[Line, ...]
    gaps: tuple[Gap, ...]
    ours: str
    """How our numbers were taken, in words."""

    @property
    def notes(self) -> list[str]:
        """Footnotes: the paper's source and caveat, our conditions and machine."""
        notes = []
        if self.published:
            notes += [f"paper: {self.published.source}; {self.published.setting}", self.published.caveat]
            notes += [f"{row.title}: {row.note}" for row in self.published.row if row.note]
        return [*notes, self.ours, *self._machines()]

    @property
    def signatures(self) -> list[str]:
        """What exactly our numbers are, column by column."""
        columns = [column for measure in self.measures if not measure.is_speed for column in measure.columns]
        found = ((column, dict.fromkeys(value.signature for value in self._values(column))) for column in columns)
        return [f"{column.title}, ours: {signature}" for column, all_ in found for signature in all_ if signature]

    def _values(self, column: Column) -> Iterator[Value]:
        return (value for line in self.lines if (value := line.value(column)).value is not None)

    def _machines(self) -> Iterator[str]:
        speeds = [column for measure in self.measures if measure.is_speed for column in measure.columns]
        machines: dict[str, dict[str, None]] = {}
        for line in self.lines:
            for machine in (line.value(column).signature for column in speeds):
                machines.setdefault(machine, {})[line.label] = None
        machines.pop("", None)
        for machine, labels in machines.items():
            facts = ", ".join(part.replace(":", " ", 1) for part in machine.split("|"))
            whose = "ours" if len(machines) == 1 else ", ".join(labels)
            yield f"time and FPS, {whose}: {facts}"
        if machines and self.published:
            yield "time and FPS, paper: its authors' machine, not comparable with ours"


def paper_table(run: Run, summary: Summary, published: Published) -> PaperTable | None:
    """``published`` with the run's rows beside it; None if none of the methods it names has a usable cell in the run.

    The table is one of different methods: variants of ours are other rows than the paper's, and don't count.
    """
    lines = [line for row in published.row for line in _lines(row, summary)]
    if not any(line.ours and line.ours.counts[0] for line in lines):
        return None
    return assemble(run, summary, published.title, published, lines)


def assemble(run: Run, summary: Summary, title: str, published: Published | None, lines: Sequence[Line]) -> PaperTable:
    """The table of ``lines``: the measures that either side has, and what is missing on ours."""
    measures = tuple(_measures(summary, published))
    gaps = (*_missing_cells(run, lines), *_missing_measures(lines, measures))
    return PaperTable(title, published, measures, tuple(lines), gaps, _conditions(run, lines))


def same_method(summary: Summary, method: str, variant: str) -> list[Row]:
    """Our rows of a method or variant: several if it was run at several presets or also as official code."""
    keys = ((row, row.children[0].key) for row in summary.rows if row.children)
    return [row for row, key in keys if key and (key.method, key.variant) == (method, variant)]


def _lines(row: PublishedRow, summary: Summary) -> Iterator[Line]:
    label = row.method + (f"[{row.variant}]" if row.variant else "")
    found = same_method(summary, row.method, row.variant)
    if not found:
        yield Line(row.title, label, row, None)
    for ours in found:
        yield Line(row.title, ours.method, row, ours)


def _measures(summary: Summary, published: Published | None) -> Iterator[Measure]:
    for name in QUALITY:
        columns = tuple(c for c in summary.columns if c.measure == name and c.region == "full" and c.section == "main")
        metric = METRICS[name]
        unit = "" if metric.unit == "1" else metric.unit
        yield Measure(name, metric.label + ("↑" if metric.higher_is_better else "↓"), unit, columns)
    for field, (key, title, unit) in _SPEED.items():
        if published is None or any(getattr(row, field) is not None for row in published.row):
            found = tuple(c for c in summary.columns if c.key == key)
            yield Measure(field, title + (found[0].arrow if found else ""), unit, found)


def _missing_cells(run: Run, lines: Sequence[Line]) -> Iterator[Gap]:
    for line in lines:
        if line.ours is None:
            yield not_run(run, line.label, line.preset)
        elif gap := unfinished(run, line.ours):
            yield gap


def _missing_measures(lines: Sequence[Line], measures: Sequence[Measure]) -> Iterator[Gap]:
    """Numbers that usable rows lack, each reason once."""
    found: dict[str, list[str]] = {}
    for measure in measures:
        for line in (line for line in lines if line.ours and line.ours.status == "ok"):
            values = [line.value(column) for column in measure.columns]
            if not any(value.value is not None or value.state == "identical" for value in values):
                why = next((v.reason for v in values if v.reason and v.state != "elsewhere"), "not measured")
                found.setdefault(f"{measure.title.rstrip('↑↓')}: {why}", []).append(line.label)
    return (Gap(", ".join(labels), reason) for reason, labels in found.items())


def _conditions(run: Run, lines: Sequence[Line]) -> str:
    keys = [child.key for line in lines if line.ours for child in line.ours.children if child.key]
    subjects = ", ".join(dict.fromkeys(key.subject for key in keys)) or "no subject"
    presets = ", ".join(dict.fromkeys(key.preset for key in keys))
    seeds = ", ".join(str(seed) for seed in sorted({key.seed for key in keys}))
    taken = f"preset {presets}, seed {seeds}, protocol {run.plan.protocol}" if keys else "not run"
    return f"ours: mean over {subjects} ({taken}); with 95 % intervals, ± is half of their width"
