"""Two runs beside each other: what both have measured alike, and how it differs over the same subjects, seeds and frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import DataError, RecordError
from bench.metrics import METRICS
from bench.records import CellKey
from bench.report.data import Cell, Run, load
from bench.report.deltas import Delta, adjusted, difference, no_value
from bench.report.rows import Row, Summary
from bench.report.summary import summarize
from bench.report.uncertainty import frame_tables, series_of
from bench.report.values import Column, Value

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame | None"]
_Identity = tuple[str, ...]


@dataclass(frozen=True)
class ComparedRow:
    """A method that both runs have, or one cell of it."""

    title: str
    values: Mapping[str, tuple[Value, Value]]
    """By the column's key: of A and of B, over the cells that both have."""
    deltas: Mapping[str, Delta]
    """B less A."""
    is_reference: bool = False
    children: tuple[ComparedRow, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All that two runs have in common."""

    a: Run
    b: Run
    columns: tuple[Column, ...]
    rows: tuple[ComparedRow, ...]
    notes: tuple[str, ...]
    """What was not compared, and why; which frames are the same bit for bit."""


def compare_runs(a: Path, b: Path) -> Comparison:
    """B against A, cell by cell: the same method, variant, backend, subject and seed, and, where a run has several, preset.

    :raises bench.errors.RecordError: if one of them is no run folder
    :raises bench.errors.DataError: if they share no cell whose subject is the same
    """
    runs = load(a), load(b)
    cells, notes = _matched(*runs)
    if not cells:
        reasons = "; ".join(notes)
        raise DataError(
            f"{a} and {b} have no cell in common, so there is nothing to compare ({reasons}); see `bench status RUN`"
        )
    pair = _Pair.of(runs, cells)
    columns = list(pair.columns())
    rows = [pair.row(one, other, columns) for one, other in pair.rows()]
    notes += [*_unlike(pair.summaries, columns), *_identical(cells), *pair.notes]
    return Comparison(*runs, tuple(column for column, _ in columns), tuple(_adjusted(rows, columns)), tuple(notes))


def _matched(a: Run, b: Run) -> tuple[list[tuple[Cell, Cell]], list[str]]:
    """Pairs of cells of the same subject, and why others have no partner."""
    by_preset = any(_has_presets(run) for run in (a, b))
    ones, others = ({_identity(cell.key, by_preset): cell for cell in run.cells} for run in (a, b))
    pairs, notes = [], []
    for name in ones.keys() & others.keys():
        one, other = ones[name], others[name]
        hashes = [cell.record.provenance.get("subject") if cell.record else None for cell in (one, other)]
        if wrong := [f"{cell.status} in {side}" for cell, side in ((one, "A"), (other, "B")) if cell.status != "ok"]:
            notes.append(f"{one.key.name}: not compared, since it is {' and '.join(wrong)}")
        elif all(hashes) and hashes[0] != hashes[1]:
            notes.append(f"{one.key.name}: not compared, since its subject's folder differs between the two runs")
        else:
            pairs.append((one, other))
    pairs.sort(key=lambda pair: a.cells.index(pair[0]))
    for run, lone in ((a, ones.keys() - others.keys()), (b, others.keys() - ones.keys())):
        if names := sorted({" ".join(name[:-2]) + f" on {name[-2]}" for name in lone}):
            notes.append(f"only in {run.path.name}: {', '.join(names)}")
    return pairs, sorted(notes)


def _has_presets(run: Run) -> bool:
    return len({(cell.key.label, cell.key.preset) for cell in run.cells}) > len({cell.key.label for cell in run.cells})


def _identity(key: CellKey, by_preset: bool) -> _Identity:
    return (key.label, *([key.preset] if by_preset else []), key.subject, str(key.seed))


@dataclass(frozen=True)
class _Pair:
    """Both runs cut down to the cells that they share, with per-frame values of the same frames."""

    runs: tuple[Run, Run]
    summaries: tuple[Summary, Summary]
    tables: tuple[Tables, Tables]
    partners: Mapping[str, str]
    """Names of cells of B by those of A."""
    notes: tuple[str, ...]

    @classmethod
    def of(cls, runs: tuple[Run, Run], cells: Sequence[tuple[Cell, Cell]]) -> _Pair:
        """Of matched cells."""
        cut = tuple(replace(run, cells=tuple(pair[side] for pair in cells)) for side, run in enumerate(runs))
        ones, others = (dict(frame_tables({cell.key.name: cell for cell in run.cells})) for run in cut)
        partners = {one.key.name: other.key.name for one, other in cells}
        notes = [problem for pair in cells for cell in pair for problem in _unreadable(cell)]
        for name, partner in partners.items():
            one, other = ones[name], others[partner]
            if one is None or other is None or one.index.equals(other.index):
                continue
            common = one.index.intersection(other.index)
            notes.append(f"{name}: compared on {len(common)} frames, of {len(one)} in A and {len(other)} in B")
            ones[name], others[partner] = one.loc[common], other.loc[common]
        return cls((cut[0], cut[1]), (summarize(cut[0]), summarize(cut[1])), (ones, others), partners, tuple(notes))

    def rows(self) -> Iterator[tuple[Row, Row]]:
        """Rows of both for each method, trained ones first."""
        others = {child.key.name: row for row in self.summaries[1].rows for child in row.children if child.key}
        for row in self.summaries[0].rows:
            assert row.children[0].key
            yield row, others[self.partners[row.children[0].key.name]]

    def columns(self) -> Iterator[tuple[Column, Column]]:
        """Columns of the first screen that both have: measured in one way, or a time or share of any machine."""
        for column in self.summaries[0].section("main"):
            for other in self.summaries[1].section("main"):
                same = (column.measure, column.region, column.group) == (other.measure, other.region, other.group)
                if same and (
                    column.is_cost or (column.group and column.higher is not None and column.measure in METRICS)
                ):
                    yield column, other

    def row(self, a: Row, b: Row, columns: Sequence[tuple[Column, Column]]) -> ComparedRow:
        """A method, or with ``children`` left out, one of its cells."""
        deltas = {one.key: self._delta(a, b, one, other) for one, other in columns}
        values = {one.key: (a.values[one.key], b.values[other.key]) for one, other in columns}
        cells = {child.key.name: child for child in b.children if child.key}
        pairs = ((child, cells[self.partners[child.key.name]]) for child in a.children if child.key)
        children = [
            replace(self.row(_alone(child), _alone(other), columns), title=_cell_title(child), children=())
            for child, other in pairs
            if len(a.children) > 1
        ]
        return ComparedRow(a.method, values, deltas, a.is_reference, tuple(children))

    def _delta(self, a: Row, b: Row, column: Column, other: Column) -> Delta:
        if column.is_cost:
            return _cost_delta(a.values[column.key], b.values[other.key], column)
        if a.values[column.key].state == b.values[other.key].state == "identical":
            return Delta(0.0, reason="all frames of both equal their ground truth")
        if reason := no_value(a, column) or no_value(b, other):
            return Delta(reason=reason)
        series = series_of(b, other, self.tables[1]), series_of(a, column, self.tables[0])
        return difference(*series, column.measure)


def _unreadable(cell: Cell) -> Iterator[str]:
    try:
        cell.frames()
    except RecordError as error:
        yield str(error)


def _alone(child: Row) -> Row:
    return replace(child, children=(child,))


def _cell_title(child: Row) -> str:
    assert child.key
    return f"{child.key.subject}, seed {child.key.seed}"


def _cost_delta(a: Value, b: Value, column: Column) -> Delta:
    if a.value is None or b.value is None:
        return Delta(reason="not measured in both")
    if a.signature != b.signature and column.key != "copied":
        return Delta(reason="measured on different machines")
    return Delta(b.value - a.value, reason="measured once, so without an interval")


def _adjusted(rows: Sequence[ComparedRow], columns: Sequence[tuple[Column, Column]]) -> list[ComparedRow]:
    """The rows with p adjusted for all methods of a column; what is told of single cells is adjusted among them."""
    found: list[dict[str, Delta]] = [{} for _ in rows]
    for column, _ in columns:
        for row, delta in zip(found, adjusted([row.deltas[column.key] for row in rows]), strict=True):
            row[column.key] = delta
    return [
        replace(row, deltas=deltas, children=tuple(_adjusted(row.children, columns)))
        for row, deltas in zip(rows, found, strict=True)
    ]


def _unlike(summaries: tuple[Summary, Summary], columns: Sequence[tuple[Column, Column]]) -> Iterator[str]:
    """Measures that both runs have, but no column in common."""
    compared = {(column.measure, column.region) for column, _ in columns}
    ways: list[dict[tuple[str, str], str]] = []
    for summary in summaries:
        ways.append({(c.measure, c.region): c.group for c in summary.section("main") if c.group})
    for name in ways[0].keys() & ways[1].keys() - compared:
        yield f"{' '.join(name)}: not compared, since A measured {ways[0][name]} and B {ways[1][name]}"


def _identical(cells: Sequence[tuple[Cell, Cell]]) -> Iterator[str]:
    same = []
    for one, other in cells:
        hashes = [cell.record.provenance.get("frames") if cell.record else None for cell in (one, other)]
        if hashes[0] and hashes[0] == hashes[1]:
            same.append(one.key.name)
    if same:
        yield f"the same frames bit for bit in both: {', '.join(same)}"
