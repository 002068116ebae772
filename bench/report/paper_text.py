"""Tables of papers and ablations as Markdown, as JSON values, and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.report.ablation import Ablation, DeltaRow
from bench.report.deltas import Delta
from bench.report.markdown import code, escape, table
from bench.report.paper_table import NONE, Line, Measure, PaperTable
from bench.report.values import Column

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_NARROW = 104
"""Characters that Table I needs side by side; below, time and FPS get a table of their own."""


def delta_text(column: Column, delta: Delta) -> str:
    """``-4.63 [-5.10, -4.15], p 0.003``, ``-4.63 (no interval)``, or a dash."""
    return " ".join(filter(None, delta_parts(column, delta)))


def delta_parts(column: Column, delta: Delta) -> tuple[str, str]:
    """The difference, and how sure it is."""
    if delta.value is None:
        return NONE, ""
    if delta.ci95 is None:
        return _signed(column, delta.value), "(no interval)"
    low, high = (_signed(column, bound) for bound in delta.ci95)
    return _signed(column, delta.value), f"[{low}, {high}], {_p(delta)}"


def to_values(view: PaperTable) -> dict[str, Any]:
    """The table as strict JSON values."""
    published = view.published
    return {
        "title": view.title,
        "paper": published.model_dump(include={"id", "source", "setting", "caveat"}) if published else None,
        "rows": [_line_values(view, line) for line in view.lines],
        "missing": [asdict(gap) for gap in view.gaps],
        "notes": view.notes,
        "signatures": view.signatures,
    }


def ablation_values(view: Ablation) -> dict[str, Any]:
    """Table and differences as strict JSON values."""
    return {
        "method": view.full,
        "table": to_values(view.table),
        "deltas": [
            {"title": row.title, "method": row.label, "values": {k: asdict(d) for k, d in row.deltas.items()}}
            for row in view.rows
        ],
        "notes": list(view.notes),
    }


def to_markdown(view: PaperTable) -> str:
    """The table under a heading, with its notes and what is missing."""
    titles = [f"{m.title} {whose}" for m, whose in heads(view)]
    rows = [
        [*map(escape, (line.title, line.label)), *(escape(text) for text in _texts(view, line))] for line in view.lines
    ]
    parts = [f"## {escape(view.title)}\n", _table(titles, rows)]
    parts.append("".join(f"- {escape(note)}\n" for note in (*view.notes, *view.signatures)))
    missing = [
        f"- {escape(gap.label)}: {escape(gap.reason)}" + (f": {code(gap.command)}" if gap.command else "") + "\n"
        for gap in view.gaps
    ]
    return "\n".join([*parts, *(["Missing:\n", "".join(missing)] if missing else [])])


def ablation_markdown(view: Ablation) -> str:
    """Table and differences."""
    titles = [_column_title(column) for column in view.columns]
    rows = [[escape(row.title), escape(row.label), *(_delta_markdown(view, row))] for row in view.rows]
    parts = [to_markdown(view.table), f"### {escape(delta_title(view))}\n"]
    parts.append(_table(titles, rows))
    return "\n".join([*parts, "".join(f"- {escape(note)}\n" for note in delta_notes(view))])


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(["row", "method", *map(escape, titles)], rows, "ll" + "r" * len(titles))


def _delta_markdown(view: Ablation, row: DeltaRow) -> Iterator[str]:
    for column in view.columns:
        text = escape(delta_text(column, row.deltas[column.key]))
        yield f"**{text}**" if row.deltas[column.key].is_significant else text


_DELTA_NOTE = (
    "In brackets: 95 % interval of the difference over the same frames (paired block bootstrap). Bold: p ≤ 0.05, adjusted "
    "over all rows of a column (Holm)."
)


def delta_title(view: Ablation) -> str:
    """Heading of the differences."""
    return f"Differences: each row less {view.full}"


def delta_notes(view: Ablation) -> list[str]:
    """What has to be said below the differences: how they are taken, and why some or their intervals are missing."""
    found: dict[str, list[str]] = {}
    for row in view.rows:
        for column in view.columns:
            if reason := row.deltas[column.key].reason:
                found.setdefault(f"{row.label}: {reason}", []).append(column.title)
    reasons = [f"{reason} ({', '.join(columns)})" for reason, columns in found.items()]
    return [_DELTA_NOTE, *reasons, *view.notes]


def _column_title(column: Column) -> str:
    """``PSNR↑ (dB)``"""
    return f"{column.title}{column.arrow}" + (f" ({column.unit})" if column.unit else "")


def _line_values(view: PaperTable, line: Line) -> dict[str, Any]:
    paper = {m.field: getattr(line.paper, m.field, None) for m in view.measures}
    return {
        "title": line.title,
        "method": line.label,
        "status": line.ours.status if line.ours else None,
        "paper": {field: None if value is None else float(value) for field, value in paper.items()},
        "ours": {
            column.key: {
                k: getattr(line.value(column), k) for k in ("value", "ci95", "state", "reason", "signature", "n")
            }
            for measure in view.measures
            for column in measure.columns
        },
    }


def heads(view: PaperTable, speed: bool | None = None) -> Iterator[tuple[Measure, str]]:
    """Each column's measure, and whose numbers it holds, with their unit."""
    for measure in view.measures:
        if speed is not None and measure.is_speed != speed:
            continue
        if view.published:
            yield measure, "paper" + (f" ({measure.paper_unit})" if measure.paper_unit else "")
        for column in measure.columns:
            mark = column.key.partition(" ")[2]
            yield measure, " ".join(filter(None, ("ours", mark, f"({column.unit})" if column.unit else "")))


def _texts(view: PaperTable, line: Line) -> Iterator[str]:
    for measure in view.measures:
        if view.published:
            yield line.paper_text(measure)
        yield from (line.text(column) for column in measure.columns)


def to_rich(view: PaperTable, width: int) -> list[RenderableType]:
    """The table for a terminal of ``width`` characters, its notes, and the commands that fill what is missing."""
    from rich.text import Text

    split = width < _NARROW and any(measure.is_speed for measure in view.measures)
    tables = [_rich_table(view, speed) for speed in ((False, True) if split else (None,))]
    notes = [Text(note, "dim") for note in (*view.notes, *view.signatures)]
    return [Text(f"\n{view.title}", "bold"), *tables, *notes, *_rich_gaps(view)]


def ablation_rich(view: Ablation, width: int) -> list[RenderableType]:
    """Both tables for the terminal."""
    from rich.table import Table
    from rich.text import Text

    deltas = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    deltas.add_column("row", overflow="fold")
    for column in view.columns:
        deltas.add_column(Text(_column_title(column).replace(" ", "\n")), justify="right")
    for row in view.rows:
        deltas.add_row(_named(row.title, row.label), *(_rich_delta(c, row.deltas[c.key]) for c in view.columns))
    notes = [Text(note, "dim") for note in delta_notes(view)]
    return [*to_rich(view.table, width), Text(f"\n{delta_title(view)}", "bold"), deltas, *notes]


def _rich_table(view: PaperTable, speed: bool | None) -> Table:
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    shown.add_column("row", overflow="fold")
    seen: Measure | None = None
    for measure, whose in heads(view, speed):
        name = "" if measure is seen else measure.title
        head = f"{name}\n{whose.replace(' ', chr(10))}"
        shown.add_column(Text(head + "\n" * (2 - head.count("\n"))), justify="right", no_wrap=True)
        seen = measure
    measures = [measure for measure in view.measures if speed is None or measure.is_speed == speed]
    for line in view.lines:
        texts: list[Text] = []
        for measure in measures:
            if view.published:
                texts.append(Text(line.paper_text(measure), "cyan"))
            texts += (_stacked(line.text(column)) for column in measure.columns)
        shown.add_row(_named(line.title, line.label), *texts)
    return shown


def _rich_gaps(view: PaperTable) -> Iterator[Text]:
    from rich.text import Text

    if view.gaps:
        yield Text("missing", "bold")
    for gap in view.gaps:
        yield Text(f"{gap.label}: {gap.reason}")
        if gap.command:
            yield Text(f"  {gap.command}", "cyan")


def _named(title: str, label: str) -> Text:
    from rich.text import Text

    return Text(title).append(f"\n{label}", "dim")


def _stacked(text: str) -> Text:
    """``38.93 ±0.41`` in two lines."""
    from rich.text import Text

    number, _, interval = text.partition(" ")
    return Text(number).append(f"\n{interval}" if interval else "", "dim")


def _rich_delta(column: Column, delta: Delta) -> Text:
    from rich.text import Text

    number, rest = delta_parts(column, delta)
    found = Text(number, "bold" if delta.is_significant else "")
    return found.append("\n" + rest.replace("], ", "]\n") if rest else "", "dim")


def _signed(column: Column, value: float) -> str:
    text = column.number(value)
    return text if text.startswith("-") else f"+{text}"


def _p(delta: Delta) -> str:
    p = delta.p_holm if delta.p_holm is not None else 1.0
    return f"p {p:.3f}" if p >= 0.001 else "p <0.001"
