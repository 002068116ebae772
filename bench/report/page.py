"""Builds ``report/index.html``: one file that needs no network and no server."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.paths import content, write_text
from bench.report.charts import Mark, Style, scatter, styles
from bench.report.data import Cell, Run
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
from bench.report.rows import Row
from bench.report.training import trainings
from bench.stats.levels import MIN_SUBJECTS


def build(run: Path | Overview) -> Path:
    """Write the report of a run folder and return its path; the same run gives the same bytes.

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
    write_text(folder / "index.html", render(overview))
    return folder / "index.html"


def render(overview: Overview) -> str:
    """The report's HTML."""
    run, summary = overview.run, overview.summary
    looks = styles([(row.method, row.is_reference) for row in summary.rows])
    shelf = Shelf.of(run.path, _media(run))
    hidden = frozenset(row.method for row in summary.rows if row.is_reference)
    views = [subject_players(run, subject, looks, hidden, shelf) for subject in run.subjects]
    players = [view for view in views if view.tracks[1:] or view.videos]
    script = content("reports", "report.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            facts=_facts(run),
            summary=summary,
            levels=_levels(run),
            styles=looks,
            scatter=scatter([_mark(row) for row in summary.rows], looks),
            players=players,
            trainings=trainings(run, looks, shelf),
            profile=profile(run, looks),
            cells=[_cell(cell, run.label(cell.key), looks) for cell in run.cells],
            table_1=overview.table_1,
            ablations=overview.ablations,
            shelf=shelf,
            videos=_videos(players) if shelf.embedded else {},
            data=script_json({"subjects": [view.script() for view in players]}),
            css=Markup(content("reports", "report.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(content("reports")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {
        "heads": heads,
        "delta_notes": delta_notes,
        "delta_parts": delta_parts,
        "delta_title": delta_title,
    }
    return found


def script_json(value: Any) -> Markup:
    """Strict JSON that can stand in a ``<script>``: no character in it can end the element or open a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _media(run: Run) -> list[Path]:
    files = [run.ground_truth(subject) for subject in run.subjects]
    files += [file for cell in run.cells for file in (cell.preview, *cell.pictures)]
    return [file for file in files if file.exists()]


def _videos(players: list[Players]) -> dict[str, str]:
    return {track.video: encode(track.file) for view in players for track in view.tracks if track.file}


def _facts(run: Run) -> dict[str, str]:
    plan = run.plan
    states = Counter(cell.status for cell in run.cells)
    facts = {
        "cells": ", ".join(f"{count} {state}" for state, count in states.most_common()),
        "methods": ", ".join(run.methods),
        "subjects": ", ".join(run.subjects),
        "preset": ", ".join(dict.fromkeys(cell.key.preset for cell in run.cells)),
        "seeds": ", ".join(str(seed) for seed in sorted({cell.key.seed for cell in run.cells})),
        "protocol": plan.protocol,
        "device": plan.device,
        "hardware": ", ".join(f"{key} {value}" for key, value in plan.hardware.items()),
        "date": plan.created,
    }
    return {name: text for name, text in facts.items() if text}


def _levels(run: Run) -> str:
    """What else than frames the intervals of means resample (:mod:`bench.stats.levels`)."""
    seeds = len({cell.key.seed for cell in run.cells}) > 1
    subjects = len(run.subjects) >= MIN_SUBJECTS
    drawn = [name for name, used in (("seeds", seeds), ("subjects", subjects)) if used]
    return " and ".join(drawn) if subjects else ", ".join([*drawn, "for just these subjects"])


def _mark(row: Row) -> Mark:
    if row.status != "ok":
        return Mark(row.method, row.canvas, None, None, "")
    fps, psnr = row.values["fps"].value, next((v.value for k, v in row.values.items() if _is_psnr(k) and v.value), None)
    about = f"{row.method}: {psnr:.2f} dB, {fps:.3g} FPS, canvas {row.canvas or 'not stated'}" if psnr and fps else ""
    return Mark(row.method, row.canvas or "not stated", fps, psnr, about)


def _is_psnr(key: str) -> bool:
    return key.partition(" (")[0] == "psnr"


@dataclass(frozen=True)
class _CellView:
    """A cell in the provenance section."""

    name: str
    method: str
    style: Style
    status: str
    error: str | None
    facts: Mapping[str, str]
    log: str


def _cell(cell: Cell, label: str, looks: Mapping[str, Style]) -> _CellView:
    record, key = cell.record, cell.key
    facts = {"backend": key.backend, "preset": key.preset, "seed": str(key.seed)}
    if record and record.frames:  # a cell that failed before it rendered states none of these
        facts |= {
            "sees of a test frame": ", ".join(record.sees) or "nothing",
            "canvas": record.canvas,
            "frames": f"{record.frames} of {record.size[0]} × {record.size[1]} pixels",
            "seconds in all": f"{record.seconds:.1f}",
        }
    if record:
        facts |= {
            "started": record.started,
            **{f"train {stage}": f"{seconds:.1f} s" for stage, seconds in record.train_seconds.items()},
            **{f"{name} signature": metric.signature for name, metric in record.metrics.items()},
            **record.provenance,
            **record.hardware,
            **{f"{name} version": version for name, version in record.versions.items()},
            **{f"{what} library": library for what, library in record.libraries.items()},
        }
    facts = {name: text for name, text in facts.items() if text}
    log = cell.log_tail() if cell.status != "ok" else ""
    return _CellView(key.name, label, looks[label], cell.status, cell.error, facts, log)
