"""Builds ``report/index.html`` of a run that can be shown cell by cell: a page that needs no network and no server.

Its videos are inside it, or beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.paths import write_text
from bench.report.charts import Mark, Scatter, Style, scatter, styles
from bench.report.data import Run
from bench.report.html import PLAYERS, Links, render_page, script_json
from bench.report.media import Shelf, encode
from bench.report.overview import Overview
from bench.report.paper_text import (
    ablation_markdown,
    ablation_values,
    delta_notes,
    delta_parts,
    delta_title,
    heads,
)
from bench.report.players import Players, subject_players
from bench.report.profile import profile
from bench.report.provenance import cell_view
from bench.report.rows import Row, Summary, bands
from bench.report.training import trainings
from bench.stats.levels import MIN_SUBJECTS

_NAMED = 30
"""Methods, subjects or seeds that a page names one by one."""


def build(run: Path | Overview) -> Path:
    """Write the report of a run folder and return its path; the same run gives the same bytes.

    Videos and pictures that are too large for the page lie in ``report/media``, so ``report/`` can be given away alone.
    An ablation is also written as ``report/ablation.md`` and ``ablation.json``.

    Raises:
        RecordError: ``run`` is not a run folder.
    """
    overview = Overview.of(run)
    folder = overview.run.path / "report"
    if found := overview.ablations:
        write_text(folder / "ablation.md", "\n".join(map(ablation_markdown, found)))
        text = json.dumps([ablation_values(view) for view in found], indent=1, ensure_ascii=False, allow_nan=False)
        write_text(folder / "ablation.json", text + "\n")
    shelf = Shelf.of(overview.run.media())
    shelf.place(folder / "media")
    write_text(folder / "index.html", render(overview, shelf))
    return folder / "index.html"


def render(overview: Overview, shelf: Shelf) -> str:
    """The report's HTML."""
    run, summary = overview.run, overview.summary
    looks = looks_of(summary)
    players = all_players(run, summary, looks, shelf)
    cells = [cell_view(cell, run.label(cell.key), looks) for cell in run.cells]
    return render_page(
        "report.html.j2",
        PLAYERS,
        run=run,
        facts=facts(run),
        summary=summary,
        bands=bands,
        links=Links(),
        levels=levels(run),
        styles=looks,
        scatter=quality_and_speed(summary, looks),
        players=players,
        trainings=trainings(run, looks, shelf),
        profile=profile(run, looks),
        failures=[cell for cell in cells if cell.error],
        cells=[cell for cell in cells if not cell.error],
        table_1=overview.table_1,
        ablations=overview.ablations,
        heads=heads,
        delta_notes=delta_notes,
        delta_parts=delta_parts,
        delta_title=delta_title,
        shelf=shelf,
        videos=videos(players) if shelf.embedded else {},
        data=script_json({"subjects": [view.script() for view in players]}),
    )


def looks_of(summary: Summary) -> dict[str, Style]:
    """How each method is drawn."""
    return styles([(row.method, row.is_reference) for row in summary.rows])


def all_players(run: Run, summary: Summary, looks: dict[str, Style], shelf: Shelf) -> list[Players]:
    """The players of each subject that has something to show; floors and ceilings are switched off."""
    hidden = frozenset(row.method for row in summary.rows if row.is_reference)
    views = [subject_players(run, subject, looks, hidden, shelf) for subject in run.subjects]
    return [view for view in views if view.tracks[1:] or view.videos]


def videos(players: Sequence[Players]) -> dict[str, str]:
    """What is embedded: base64 by link."""
    return {track.video: encode(track.file) for view in players for track in view.tracks if track.file}


def facts(run: Run) -> dict[str, str]:
    """What the run was."""
    plan = run.plan
    states = Counter(cell.status for cell in run.cells)
    found = {
        "cells": ", ".join(f"{count} {state}" for state, count in states.most_common()),
        "methods": _named(run.methods),
        "subjects": _named(run.subjects),
        "preset": ", ".join(dict.fromkeys(cell.key.preset for cell in run.cells)),
        "seeds": _named([str(seed) for seed in sorted({cell.key.seed for cell in run.cells})]),
        "protocol": plan.protocol,
        "device": plan.device,
        "hardware": ", ".join(f"{key} {value}" for key, value in plan.hardware.items()),
        "date": plan.created,
    }
    return {name: text for name, text in found.items() if text}


def _named(names: Sequence[str]) -> str:
    """All of them, or of very many how many, the first and the last."""
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)}: {names[0]}, {names[1]} … {names[-1]}"


def levels(run: Run) -> str:
    """What else than frames the intervals of means resample (:mod:`bench.stats.levels`)."""
    seeds = len({cell.key.seed for cell in run.cells}) > 1
    subjects = len(run.subjects) >= MIN_SUBJECTS
    drawn = [name for name, used in (("seeds", seeds), ("subjects", subjects)) if used]
    return " and ".join(drawn) if subjects else ", ".join([*drawn, "for just these subjects"])


def quality_and_speed(summary: Summary, looks: dict[str, Style]) -> Scatter:
    """One point a method; floors and ceilings only where they have both."""
    marks = [(row, _mark(row)) for row in summary.rows]
    return scatter([mark for row, mark in marks if mark.about or not row.is_reference], looks)


def _mark(row: Row) -> Mark:
    if row.status != "ok":
        return Mark(row.method, row.canvas, None, None, "")
    fps, psnr = row.values["fps"].value, next((v.value for k, v in row.values.items() if _is_psnr(k) and v.value), None)
    about = f"{row.method}: {psnr:.2f} dB, {fps:.3g} FPS, canvas {row.canvas or 'not stated'}" if psnr and fps else ""
    return Mark(row.method, row.canvas or "not stated", fps, psnr, about)


def _is_psnr(key: str) -> bool:
    return key.partition(" (")[0] == "psnr"
