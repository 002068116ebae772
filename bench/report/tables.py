"""The summary of a run in other formats: Markdown, CSV, JSON values, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import csv_text
from bench.report import markdown
from bench.report.overview import Overview
from bench.report.rows import Row
from bench.report.values import Column, Value

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def to_summary(run: Path | Overview) -> list[dict[str, Any]]:
    """The means of a run folder as strict JSON values; an infinite PSNR is a state, not a number."""
    summary = Overview.of(run).summary
    return [
        {
            "method": row.method,
            "kind": row.kind,
            "canvas": row.canvas,
            "status": row.status,
            "error": row.error,
            "cells": row.counts,
            "values": {
                column.key: {
                    k: getattr(row.values[column.key], k)
                    for k in ("value", "ci95", "state", "reason", "signature", "n", "mark")
                }
                for column in summary.columns
            },
        }
        for row in summary.rows
    ]


def _listed(overview: Overview) -> Iterator[tuple[Row, str, bool]]:
    """Each method's rows subject by subject, then its mean; of a condensed overview means alone.

    Yields the row, what to put under ``subject``, and whether it closes a method that has several rows.
    """
    for row in overview.summary.rows:
        if overview.is_condensed:
            yield row, f"mean of {len(row.children)}", False
        elif len(row.children) > 1:
            yield from ((child, _subject(child), False) for child in row.children)
            yield row, "mean", True
        else:
            yield row, _subject(row.children[0]) if row.children else "—", False


def _subject(row: Row) -> str:
    assert row.key is not None
    return f"{row.key.subject} (seed {row.key.seed})" if row.key.seed else row.key.subject


def to_markdown(run: Path | Overview) -> str:
    """The summary of a run folder as a Markdown table."""
    overview = Overview.of(run)
    summary = overview.summary
    shown = summary.section("main")
    head = ["method", "subject", *(_title(column) for column in shown), "frames", "canvas"]
    lines = []
    for row, subject, _ in _listed(overview):
        pairs = [(column, row.values[column.key]) for column in shown]
        texts = [_marked(column, value) for column, value in pairs]
        if row.status != "ok":
            texts = [row.status] * len(shown)
        facts = (row.method, subject, row.coverage(shown), row.canvas or "—")
        method, name, frames, canvas = map(markdown.escape, facts)
        lines.append([method, name, *texts, frames, canvas])
    return markdown.table(list(map(markdown.escape, head)), lines, "ll" + "r" * (len(shown) + 1) + "l")


def to_csv(run: Path | Overview) -> str:
    """Means and cells of a run folder (condensed: subjects) as CSV with unrounded values, their states and signatures."""
    summary = Overview.of(run).summary
    head = ["level", "method", "kind", "canvas", "subject", "preset", "seed", "status", "error"]
    parts = ("", "_low", "_high", "_state", "_signature", "_n", "_of")
    rows = (_csv_row(row, summary.columns) for parent in summary.rows for row in (parent, *parent.children))
    return csv_text.to_csv(head + [f"{column.key}{part}" for column in summary.columns for part in parts], rows)


def _csv_row(row: Row, columns: Sequence[Column]) -> list[object]:
    key = row.key
    one = row.counts[1] == 1
    name = [key.subject, key.preset, key.seed if one else ""] if key else ["", "", ""]
    cells = [part for column in columns for part in _csv(row.values[column.key])]
    return [
        "mean" if not key else "cell" if one else "subject",
        row.method,
        row.kind,
        row.canvas,
        *name,
        row.status,
        row.error or "",
        *cells,
    ]


def to_rich(run: Path | Overview) -> Table:
    """The summary of a run folder as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    overview = Overview.of(run)
    summary = overview.summary
    shown = [c for c in summary.section("main") if any(row.values[c.key].value is not None for row in summary.rows)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method", overflow="fold", min_width=15)
    table.add_column("subject", no_wrap=True)
    for column in shown:
        table.add_column(_title(column).replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("frames", justify="right", min_width=7)
    table.add_column("canvas", overflow="fold", min_width=10)
    for row, subject, last in _listed(overview):
        if row.status != "ok":
            table.add_row(Text(row.method), Text(subject), Text(row.status, "red" if row.error else "dim"))
            continue
        pairs = [(column, row.values[column.key]) for column in shown]
        texts = [_compact(column, value, row.key is None) for column, value in pairs]
        style = "dim" if row.is_reference and not last else ""
        names = Text(row.method), Text(subject)
        table.add_row(*names, *texts, row.coverage(shown), Text(row.canvas or "—"), style=style, end_section=last)
    return table


def _title(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.title}{column.arrow}{unit}"


def _csv(value: Value) -> list[object]:
    number = "inf" if value.state == "identical" else value.value
    return ["" if number is None else number, *(value.ci95 or ("", "")), value.state, value.signature, *value.n]


def _marked(column: Column, value: Value) -> str:
    """Bold for significantly best, ≈ for what can't be told apart from the best."""
    text = markdown.escape(column.with_interval(value))
    return {"best": f"**{text}**", "tie": f"{text} ≈", "": text}[value.mark]


def _compact(column: Column, value: Value, is_mean: bool) -> Text:
    """The number; under a mean, half the width of its interval."""
    from rich.text import Text

    style = "bold" if value.mark == "best" else ""
    number = Text(column.text(value).split(" ")[0] + ("≈" if value.mark == "tie" else ""), style)
    if is_mean and value.value is not None and value.ci95:
        number.append("\n" + column.with_interval(value).split(" ")[-1], "dim")
    return number
