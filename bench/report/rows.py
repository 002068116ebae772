"""What the summary of a run is made of: one row a method, averaged over its subjects, with a row a cell under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from bench.records import CellKey
from bench.report.data import CellStatus
from bench.report.values import Column, Value, split_reason

REFERENCE = "reference"
"""``Record.kind`` of a method with a known answer: shown apart and never best."""


@dataclass(frozen=True)
class Row:
    """A method's mean over subjects (``key`` is None), or one cell of it; in a condensed summary one subject of it."""

    method: str
    kind: str
    canvas: str
    values: Mapping[str, Value]
    """By :attr:`Column.key`."""
    key: CellKey | None = None
    status: CellStatus = "ok"
    error: str | None = None
    children: tuple[Row, ...] = field(default=(), repr=False)
    stands_for: int = 1
    """Cells alike that a row without children is the mean of (:mod:`bench.report.condensed`)."""

    @property
    def is_reference(self) -> bool:
        """Whether the method is a floor or a ceiling."""
        return self.kind == REFERENCE

    @property
    def counts(self) -> tuple[int, int]:
        """(cells that may be used, cells planned)"""
        if not self.children:
            return self.stands_for if self.status == "ok" else 0, self.stands_for
        usable, planned = zip(*(row.counts for row in self.children), strict=True)
        return sum(usable), sum(planned)

    @property
    def seeds(self) -> str:
        """Which seed, or how many, a row below a method's is of."""
        usable, planned = self.counts
        if planned == 1:
            return f"seed {self.key.seed}" if self.key else ""
        return f"{planned} seeds" if usable == planned else f"{usable} of {planned} seeds"

    @property
    def has_numbers(self) -> bool:
        """Whether there is anything to show: a single invalid cell still has its other measures, a mean over such has not."""
        return self.status == "ok" or (self.status == "invalid" and self.counts[1] < 2)

    def coverage(self, shown: Sequence[Column]) -> str:
        """``300/300``, with the measures that scored fewer frames named: ``300/300, LMD 278``."""
        found = {c.title: n for c in shown if c.group and (n := self.values[c.key].n)[1]}
        if not found:
            return "—"
        most, expected = max(found.values())
        fewer = [f"{title} {n}" for title, (n, _) in found.items() if n < most]
        return ", ".join([f"{most}/{expected}", *fewer])


@dataclass(frozen=True)
class Band:
    """Neighbouring columns that were measured in the same way, and what that is."""

    text: str
    span: int


def bands(columns: Sequence[Column]) -> list[Band]:
    """What stands above the heads of ``columns``: the parts of a signature that its measures share.

    The first band of measures tells all of these parts, later ones those in which they differ from it.
    """
    first = next((way for column in columns if (way := _way(column))), {})
    texts: list[str] = []
    for column in columns:
        way = _way(column)
        shown = {key: part for key, part in way.items() if first.get(key) != part} or (first if way else {})
        measured = ", ".join(f"{key} {part}" for key, part in shown.items())
        cost = "audit" if column.key == "copied" else "time" if column.is_cost else ""
        texts.append(cost or measured or (texts or [""])[-1])
    return [Band(text, len(list(group))) for text, group in groupby(texts)]


_WAY = ("canvas", "region", "agg", "quant", "src")
"""Parts of a signature that tell how frames were compared, whatever the measure."""


def _way(column: Column) -> dict[str, str]:
    parts = dict(part.partition(":")[::2] for part in column.group.split("|"))
    return {key: parts[key] for key in _WAY if key in parts}


@dataclass(frozen=True)
class Summary:
    """Rows and the columns that they fill."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def section(self, name: str) -> list[Column]:
        """The columns of one section."""
        return [column for column in self.columns if column.section == name]

    @property
    def canvases(self) -> list[str]:
        """The canvases of methods that were trained: more than one means that not all of them are like for like."""
        return list(dict.fromkeys(row.canvas for row in self.rows if row.canvas and not row.is_reference))

    @property
    def splits(self) -> list[str]:
        """Why a measure has more than one column, a line for each that has."""
        found: dict[str, list[Column]] = {}
        for column in self.columns:
            if column.group and "(" in column.key:
                found.setdefault(column.key.partition(" (")[0], []).append(column)
        return [split_reason(group) for group in found.values()]

    def signatures(self, column: Column) -> list[str]:
        """The full signatures of a column's values."""
        rows = [each for row in self.rows for each in (row, *row.children)]
        return list(dict.fromkeys(v.signature for row in rows if (v := row.values[column.key]).signature))
