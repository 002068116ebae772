"""The page of a run of very many cells: means, what went wrong and how often, and where single cells are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.paths import write_text
from bench.report.data import Cell, CellStatus
from bench.report.html import TABLES, Links, render_page
from bench.report.media import Shelf
from bench.report.overview import MANY, Overview
from bench.report.page import facts, looks_of, quality_and_speed
from bench.report.rows import Row, bands

SUBJECTS = 2000
"""Rows of subjects that the page holds, all methods together; with more it has means of methods alone."""
FAILURES = 50
"""Kinds of failures that are told."""


@dataclass(frozen=True)
class Failure:
    """Cells that ended in the same way."""

    status: CellStatus
    error: str
    method: str
    count: int
    first: str
    """Name of one of them."""
    log: str
    """Link to its log."""


@dataclass(frozen=True)
class _Logs(Links):
    """Leads to the log of a row's first cell, in the run folder."""

    def cell(self, row: Row) -> str:
        key = row.key or row.children[0].key
        return _log(key.name) if key else ""


def build(overview: Overview) -> Path:
    """Write ``report/index.html`` of a condensed overview and return its path; media of an earlier report are removed."""
    folder = overview.run.path / "report"
    Shelf.of({}).place(folder / "media")
    write_text(folder / "index.html", render(overview))
    return folder / "index.html"


def render(overview: Overview) -> str:
    """The page's HTML."""
    summary, found = overview.summary, failures(overview)
    looks = looks_of(summary)
    return render_page(
        "condensed.html.j2",
        TABLES,
        run=overview.run,
        facts=facts(overview.run),
        summary=summary,
        bands=bands,
        links=_Logs(),
        styles=looks,
        scatter=quality_and_speed(summary, looks),
        below=sum(len(row.children) for row in summary.rows) <= SUBJECTS,
        failures=found[:FAILURES],
        kinds=len(found),
        most=MANY,
    )


def failures(overview: Overview) -> Sequence[Failure]:
    """What went wrong, the most frequent first."""
    groups: dict[tuple[CellStatus, str, str], list[Cell]] = {}
    for cell in overview.run.cells:
        if cell.error:
            groups.setdefault((cell.status, cell.error, overview.run.label(cell.key)), []).append(cell)
    found = [Failure(*kind, len(cells), cells[0].key.name, _log(cells[0].name)) for kind, cells in groups.items()]
    return sorted(found, key=lambda failure: -failure.count)


def _log(folder: str) -> str:
    return f"../cells/{quote(folder)}/log.txt"
