"""Where the time of training steps went: one bar a cell and stage, all on one scale (``bench run --profile``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.parts import OTHER
from bench.records import StageProfile
from bench.report.charts import COLOURS, Scale, Style, Tick
from bench.report.data import Cell, Run
from bench.report.values import Column

_MS = Column("ms", "time of a step", "timing", "ms", higher=False)


@dataclass(frozen=True)
class Segment:
    """A part within a bar."""

    css: str
    at: float
    """Where it begins, in percent of the scale."""
    width: float
    text: str


@dataclass(frozen=True)
class Bar:
    """One stage of one cell."""

    method: str
    subject: str
    style: Style
    stage: str
    steps: int
    total: str
    """Milliseconds, with the unit."""
    segments: tuple[Segment, ...]
    numbers: tuple[str, ...]
    """Milliseconds of each part of the legend."""

    @property
    def text(self) -> str:
        """The bar in words."""
        parts = ", ".join(segment.text for segment in self.segments)
        return f"{self.method}, {self.subject}, {self.stage}: {self.total} a step: {parts}"


@dataclass(frozen=True)
class Profile:
    """All bars; the parts have the same colour in each."""

    bars: tuple[Bar, ...]
    legend: tuple[tuple[str, str], ...]
    """(part, class names)"""
    ticks: tuple[Tick, ...]


def profile(run: Run, styles: Mapping[str, Style]) -> Profile | None:
    """What was measured, or None where nothing was."""
    found = [(cell, stage, times) for cell in run.cells if cell.record for stage, times in cell.record.profile.items()]
    if not found:
        return None
    legend = _legend([times for *_, times in found])
    scale = Scale(0.0, max(sum(times.milliseconds.values()) for *_, times in found) or 1.0)
    bars = (_bar(cell, run.label(cell.key), styles, stage, times, legend, scale) for cell, stage, times in found)
    return Profile(tuple(bars), tuple(legend.items()), tuple(scale.ticks(5)))


def _legend(profiles: Sequence[StageProfile]) -> dict[str, str]:
    """Class names by part, in the order in which the parts first occur; grey and last is what no part claims."""
    parts = dict.fromkeys(part for times in profiles for part in times.milliseconds if part != OTHER)
    # There are more parts than colours: each colour comes again, hollow.
    looks = {part: f"c{i % COLOURS}" + (" hollow" if i // COLOURS % 2 else "") for i, part in enumerate(parts)}
    return looks | {OTHER: "ref"}


def _bar(
    cell: Cell, method: str, styles: Mapping[str, Style], stage: str, times: StageProfile, legend: Mapping[str, str],
    scale: Scale,
) -> Bar:  # fmt: skip
    total = sum(times.milliseconds.values())
    segments = []
    end = 0.0
    for part, css in legend.items():
        if spent := times.milliseconds.get(part, 0.0):
            text = f"{part} {_MS.number(spent)} ms ({spent / total:.0%})"
            segments.append(Segment(css, scale.at(end), scale.at(spent), text))
            end += spent
    numbers = (times.milliseconds.get(part) for part in legend)
    return Bar(
        method, f"{cell.key.subject}, seed {cell.key.seed}", styles[method], stage, times.steps,
        f"{_MS.number(total)} ms", tuple(segments),
        tuple("—" if number is None else _MS.number(number) for number in numbers),
    )  # fmt: skip
