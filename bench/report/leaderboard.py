"""A static site over many runs: one table, a page a method, a page a subject. It needs no server and no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.paths import atomic_folder, file_name, write_text
from bench.report.charts import Style
from bench.report.data import Run
from bench.report.html import PLAYERS, TABLES, Links, render_page, script_json
from bench.report.media import Shelf
from bench.report.merge import Merged, merge
from bench.report.overview import Overview
from bench.report.page import all_players, facts, levels, looks_of, quality_and_speed
from bench.report.provenance import cell_view
from bench.report.rows import Row, Summary, bands
from bench.report.summary import summarize
from bench.report.tables import to_summary
from bench.report.training import trainings

DATA = "leaderboard.json"
"""The table in the site; it also tells that a folder is ours to replace."""


@dataclass(frozen=True)
class _Site:
    merged: Merged
    overview: Overview
    looks: dict[str, Style]
    shelf: Shelf
    methods: Mapping[str, str]
    """Pages from the site's root, by name."""
    subjects: Mapping[str, str]

    @property
    def run(self) -> Run:
        return self.merged.run

    def links(self, up: str = "") -> Links:
        """As seen from the root, or from a folder of it."""
        pages = ({name: up + page for name, page in names.items()} for names in (self.methods, self.subjects))
        return Links(*pages)

    def common(self, up: str = "") -> dict[str, Any]:
        """What every template is given."""
        return {"bands": bands, "links": self.links(up), "up": up, "levels": levels(self.run), "styles": self.looks}


def build(runs: Sequence[Path], out: Path) -> Path:
    """Write the site of these runs into the folder ``out``, replacing an older one, and return its first page.

    :raises bench.errors.UsageError: if ``out`` holds something else
    :raises bench.errors.RecordError: see :func:`bench.report.merge.merge`
    """
    if out.exists() and not (out.is_dir() and ((out / DATA).exists() or not any(out.iterdir()))):
        raise UsageError(f"{out} holds something other than a leaderboard; name a new folder with --out")
    site = _site(merge(runs, out))
    with atomic_folder(out) as folder:
        site.shelf.place(folder / "media")
        write_text(folder / "index.html", _index(site))
        for row in site.overview.summary.rows:
            write_text(folder / site.methods[row.method], _method_page(site, row))
        for subject, page in site.subjects.items():
            write_text(folder / page, _subject_page(site, subject))
        table = {
            "runs": sorted({str(path) for path in site.merged.sources.values()}),
            "rows": to_summary(site.overview),
        }
        write_text(folder / DATA, json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return out / "index.html"


def _site(merged: Merged) -> _Site:
    overview = Overview(merged.run)
    methods = {row.method: f"methods/{file_name(row.method)}.html" for row in overview.summary.rows}
    subjects = {subject: f"subjects/{file_name(subject)}.html" for subject in merged.run.subjects}
    shelf = Shelf.of(merged.run.media(), limit=-1)
    return _Site(merged, overview, looks_of(overview.summary), shelf, methods, subjects)


def _index(site: _Site) -> str:
    summary = site.overview.summary
    told = {
        name: text for name, text in facts(site.run).items() if name in ("cells", "preset", "seeds", "protocol", "date")
    }
    return render_page(
        "board.html.j2",
        TABLES,
        summary=summary,
        facts={"runs": ", ".join(sorted({path.name for path in site.merged.sources.values()}))} | told,
        scatter=quality_and_speed(summary, site.looks),
        notes=site.merged.notes,
        **site.common(),
    )


def _method_page(site: _Site, row: Row) -> str:
    """The method's cells, a row a subject."""
    up = "../"
    cells = [cell for cell in site.run.cells if site.run.label(cell.key) == row.method]
    names = [f"{child.key.subject}, seed {child.key.seed}" if child.key else "" for child in row.children]
    rows = tuple(
        replace(child, method=name, children=(child,)) for child, name in zip(row.children, names, strict=True)
    )
    run = replace(site.run, cells=tuple(cells))
    views = [cell_view(cell, row.method, site.looks) for cell in cells]
    sources = {view.name: site.merged.sources.get(view.name) for view in views}
    look = site.looks[row.method]
    return render_page(
        "board_method.html.j2",
        TABLES,
        row=row,
        summary=Summary(site.overview.summary.columns, rows),
        trainings=trainings(run, site.looks, replace(site.shelf, folder="../media")),
        cells=[replace(view, facts={"run": str(sources[view.name] or "none"), **view.facts}) for view in views],
        **site.common(up) | {"styles": dict.fromkeys(names, look), "links": Links()},
        subjects=site.links(up).subjects,
    )


def _subject_page(site: _Site, subject: str) -> str:
    """All methods on one subject, with its players."""
    up = "../"
    run = replace(site.run, cells=tuple(cell for cell in site.run.cells if cell.key.subject == subject))
    summary = summarize(run)
    players = all_players(run, summary, site.looks, replace(site.shelf, folder="../media"))
    return render_page(
        "board_subject.html.j2",
        PLAYERS,
        subject=subject,
        summary=summary,
        players=players,
        data=script_json({"subjects": [view.script() for view in players]}),
        **site.common(up),
    )
