"""``bench status``: how far a run is, read from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from bench import locks
from bench.cli.output import JSON, console, emit
from bench.errors import RecordError
from bench.records import CellKey, load_plan, load_record
from bench.run.layout import CellFolder, RunFolder


@click.command("status")
@click.argument("run", type=click.Path(path_type=Path))
@JSON
def command(run: Path, as_json: bool) -> None:
    """Show the state of each cell of RUN, a run folder."""
    plan = load_plan(run)
    working = locks.is_held(RunFolder(run).lock)
    rows = [_row(key, RunFolder(run).cell(key), working) for key in plan.cells]
    if as_json:
        emit({"run": str(run), "working": working, "cells": rows})
        return
    view = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("cell", "state", "where"):
        view.add_column(title, overflow="fold")
    for row in rows:
        view.add_row(escape(row["cell"]), row["state"], escape(row["detail"]))
    console().print(view)
    console().print("a run is at work here" if working else "no run is at work here")


def _row(key: CellKey, folder: CellFolder, working: bool) -> dict[str, Any]:
    state, detail = "waiting", ""
    if folder.record.exists():
        try:
            record = load_record(folder.record)
            state, detail = record.status, record.error or f"{record.seconds:.0f} s"
        except RecordError as error:
            state, detail = "corrupt", str(error)
    elif folder.job.exists():
        state, detail = "running" if working else "interrupted", _stage(folder)
    return {"cell": key.name, "state": state, "detail": detail}


def _stage(folder: CellFolder) -> str:
    """Where an unfinished cell is."""
    if folder.trained.exists():
        return "trained; rendering or scoring"
    try:
        stage, step, seconds, _ = json.loads(folder.steps.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return "training"
    return f"training: {stage}, step {step}, {seconds:.0f} s"
