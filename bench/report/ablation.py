"""An ablation: a method beside itself without each of its factors, and what each of them changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import registry
from bench.errors import BenchError
from bench.metrics import METRICS
from bench.records import CellKey
from bench.report.data import Run
from bench.report.deltas import Delta, adjusted, difference, no_value
from bench.report.paper_table import QUALITY, Line, PaperTable, assemble
from bench.report.published import Published, published_ablation
from bench.report.rows import Row, Summary
from bench.report.uncertainty import frame_tables, series_of
from bench.report.values import Column

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DeltaRow:
    """One variant."""

    title: str
    label: str
    deltas: Mapping[str, Delta]
    """By :attr:`Column.key`."""


@dataclass(frozen=True)
class Ablation:
    """The table of values and the table of differences."""

    method: str
    """As it is asked for: ``degstalk``."""
    preset: str
    full: str
    """What tables call the full method: with its preset where the run has several."""
    table: PaperTable
    columns: tuple[Column, ...]
    """Measures of the differences; what lies in the face comes last."""
    rows: tuple[DeltaRow, ...]
    notes: tuple[str, ...]


def ablations(run: Run, summary: Summary) -> list[Ablation]:
    """One for each method of which the run has a cell without one of its factors."""
    bases = [key.model_copy(update={"variant": ""}) for key, _ in _keyed(summary) if "-" in key.variant]
    found = {run.label(base): base for base in bases}
    return [_ablation(run, summary, base) for base in found.values()]


def _keyed(summary: Summary) -> Iterator[tuple[CellKey, Row]]:
    return ((key, row) for row in summary.rows if row.children and (key := row.children[0].key))


def _ablation(run: Run, summary: Summary, base: CellKey) -> Ablation:
    same = ("method", "backend", "preset")
    ours = {key.variant: row for key, row in _keyed(summary) if all(getattr(key, n) == getattr(base, n) for n in same)}
    published = published_ablation(base.method)
    lines = list(_lines(base, published, ours))
    title = published.title if published else f"Ablation of {run.label(base)}"
    table = assemble(run, summary, title, published, lines)
    columns = tuple(_columns(summary))
    variants = [line for line in lines if line.ours and line.ours is not ours.get("")]
    rows = _delta_rows(run, variants, ours.get(""), columns)
    return Ablation(
        base.label, base.preset, run.label(base), table, columns, tuple(rows), tuple(_notes(base.method, ours, rows))
    )


def _lines(base: CellKey, published: Published | None, ours: Mapping[str, Row]) -> Iterator[Line]:
    """The paper's rows in its order, then those of ours that it doesn't have; the full method always."""
    papers = {row.variant: row for row in (published.row if published else ())}
    for variant in dict.fromkeys([*papers, *ours, ""]):
        paper, row = papers.get(variant), ours.get(variant)
        label = row.method if row else base.model_copy(update={"variant": variant}).label
        yield Line(paper.title if paper else _title(variant), label, paper, row, base.preset)


def _title(variant: str) -> str:
    """The row's name where no paper names it."""
    reading, *off = variant.split("-")
    parts = [*([f"{reading} reading"] if reading else []), *([f"w/o {', '.join(off)}"] if off else [])]
    return " ".join(parts) or "full"


def _columns(summary: Summary) -> list[Column]:
    found = [c for c in summary.section("main") if c.group and c.higher is not None and c.measure in METRICS]
    order = {name: place for place, name in enumerate(QUALITY)}
    return sorted(found, key=lambda c: (c.region != "full", order.get(c.measure, len(order))))


def _delta_rows(run: Run, lines: Sequence[Line], full: Row | None, columns: Sequence[Column]) -> list[DeltaRow]:
    tables = frame_tables({cell.key.name: cell for cell in run.cells})
    found: list[dict[str, Delta]] = [{} for _ in lines]
    for column in columns:
        deltas = adjusted([_delta(line.ours, full, column, tables) for line in lines])
        for row, delta in zip(found, deltas, strict=True):
            row[column.key] = delta
    return [DeltaRow(line.title, line.label, row) for line, row in zip(lines, found, strict=True)]


def _delta(ours: Row | None, full: Row | None, column: Column, tables: Mapping[str, pd.DataFrame | None]) -> Delta:
    if ours is None or full is None:
        return Delta(reason="the full method was not run")
    if reason := no_value(full, column) or no_value(ours, column):
        return Delta(reason=reason)
    return difference(series_of(ours, column, tables), series_of(full, column, tables), column.measure)


def _notes(method: str, ours: Mapping[str, Row], rows: Sequence[DeltaRow]) -> Iterator[str]:
    if "" in ours:
        canvas = ours[""].canvas
        for row in ours.values():
            if row.canvas and canvas and row.canvas != canvas:
                yield (
                    f"{row.method} draws over another canvas than {ours[''].method} ({row.canvas}, not {canvas}): "
                    "part of its full-frame deltas is what may be copied from the test frame; look at the face too"
                )
    for variant in rows:
        counts = {delta.cells for delta in variant.deltas.values() if delta.value is not None}
        if counts and "" in ours and min(counts) < ours[""].counts[1]:
            yield f"{variant.label}: compared on {min(counts)} of {ours[''].counts[1]} cells only"
    yield from (f"{key}: {text}" for key, text in _meanings(method, ours))


def _meanings(method: str, variants: Mapping[str, Row]) -> Iterator[tuple[str, str]]:
    """What the variants' keys mean, as the method says it, where it is installed."""
    try:
        info = registry.info(method) if method in registry.names() else None
    except BenchError:
        return
    used = {key for variant in variants for key in variant.split("-")}
    if info:
        yield from ((key, text) for key, text in {**info.factors, **info.readings}.items() if key in used)
