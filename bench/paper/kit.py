"""Writes the kit's folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.paper import pictures, plots
from bench.paper.citations import citations
from bench.paper.exports import exports
from bench.paper.figure import Drawn
from bench.paper.latex import to_latex
from bench.paper.protocol import facts, paragraph
from bench.paper.shown import shown
from bench.paper.tables import grids, usable
from bench.paper.tex import render
from bench.paths import write_text
from bench.report.ablation import Ablation
from bench.report.overview import Overview

MANIFEST = "kit.json"


@dataclass(frozen=True)
class Kit:
    """What was written."""

    folder: Path
    files: tuple[str, ...]
    """Relative to it."""
    notes: tuple[str, ...]
    """What is not there, and why."""


def build(run: Path | Overview, out: Path) -> Kit:
    """Write tables, figures, texts and bibliography of a run into ``out``; the same run gives the same files.

    A kit that is there already is written anew, file by file: change copies.

    Raises:
        RecordError: ``run`` is not a run folder.
        UsageError: ``out`` holds something else, or the run has no cell with numbers.
    """
    overview = Overview.of(run)
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise UsageError(f"{out} is not empty and no paper kit: name a new folder with --out")
    if not any(row.has_numbers for row in overview.summary.rows):
        raise UsageError(f"{overview.run.path} has no cell with numbers yet: finish it with `bench run`")
    notes: list[str] = []
    figures = _figures(overview, notes)
    texts = _texts(overview, figures, notes)
    for name, text in texts.items():
        write_text(out / name, text)
    for figure in figures:
        figure.save(out / "figures")
    files = (*texts, *(f"figures/{figure.name}.pdf" for figure in figures))
    write_text(out / MANIFEST, _json({"run": str(overview.run.path), "files": sorted(files), "missing": notes}))
    return Kit(out, (*files, MANIFEST), tuple(notes))


def _figures(overview: Overview, notes: list[str]) -> list[Drawn]:
    """The run's methods side by side; an ablation's variants have a figure of their own."""
    run, views = overview.run, overview.ablations
    trained = [row.method for row in usable(overview.summary)]
    ablated = {label for view in views for label in _rows(view) if label != view.full}
    plain = [label for label in trained if label not in ablated]
    found = [plots.quality_speed(overview)]  # narrow, so first: a wide figure before it would hold it back
    found += [pictures.qualitative(run, shown(run, plain), notes)] if len(plain) > 1 else []
    for place, view in enumerate(views):
        name = f"ablation-{place + 1}" if place else "ablation"
        found.append(pictures.ablation(run, shown(run, _rows(view)), name, view.full, notes))
    found += plots.curves(shown(run, trained), notes)
    return [figure for figure in found if figure]


def _rows(view: Ablation) -> list[str]:
    """The labels of an ablation's rows that were run."""
    return [line.label for line in view.table.lines if line.ours]


def _texts(overview: Overview, figures: list[Drawn], notes: list[str]) -> dict[str, str]:
    tables = grids(overview)
    cited = citations(overview)
    run = overview.run.path.resolve().name
    title = f"Evaluation of {run}"
    found = {f"tables/{grid.name}.tex": to_latex(grid) for grid in tables}
    for name, text, values in exports(overview):
        found |= {f"tables/{name}.csv": text, f"tables/{name}.json": _json(values)}
    choices = {figure.name: figure.facts for figure in figures if figure.facts}
    return found | {
        "figures/choices.json": _json(choices),
        "protocol.tex": str(paragraph(facts(overview, cited))),
        "references.bib": cited.bibtex,
        "preamble.tex": render("preamble.tex.j2"),
        "main.tex": render("main.tex.j2", run=run, title=title, grids=tables, figures=figures, notes=notes),
    }


def _json(values: Any) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
