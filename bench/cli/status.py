"""``bench status``: how far a run is, read from its folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench import collecting, locks
from bench.cli.notes import noted
from bench.cli.output import JSON, CommaList, emit
from bench.errors import unknown
from bench.records import load_plan
from bench.run import heartbeat
from bench.run.heartbeat import Sign
from bench.run.layout import CellFolder, RunFolder
from bench.units import duration

_STATES = ("ok", "invalid", "failed", "corrupt", "running", "interrupted", "waiting")
_LISTED = 200
"""Cells that are listed without being asked for: of more, only those that went wrong, and no more than as many."""
_SILENT = 60.0
"""Seconds without a sign of a cell's process that are worth a word: it says one every few seconds."""
_WRONG = ("invalid", "failed", "corrupt")


@dataclass(frozen=True)
class _State:
    cell: str
    state: str
    detail: str
    sign: Sign | None = None
    """The last sign of life of a cell at work."""


@click.command("status")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--state", "wanted", type=CommaList(), default="", metavar="A,B",
    help=f"List all cells in these states: {', '.join(_STATES)}.",
)  # fmt: skip
@JSON
def command(run: Path, wanted: Sequence[str], as_json: bool) -> None:
    """Show the state of each cell of RUN, a run folder; of a large run, how many are in which state, and those that went wrong."""
    for state in wanted:
        if state not in _STATES:
            raise unknown("state", state, _STATES)
    with noted(), collecting.paused():
        working = locks.is_held(RunFolder(run).lock)
        cells = _states(run, working)
    counts = Counter(cell.state for cell in cells)
    chosen = [cell for cell in cells if not wanted or cell.state in wanted]
    if as_json:
        about = {"run": str(run), "working": working, "counts": counts}
        emit(about | {"cells": [asdict(cell) for cell in chosen]})
        return
    shown = chosen if wanted or len(chosen) <= _LISTED else [c for c in chosen if c.state in _WRONG][:_LISTED]
    if shown:
        click.echo(_table(shown))
    told = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])
    click.echo(f"{len(cells)} cells: {told or 'none'}")
    if len(shown) < len(chosen):
        click.echo(
            f"{len(chosen) - len(shown)} are not listed: --state {'|'.join(s for s in _STATES if counts[s])} lists them"
        )
    click.echo("a run is at work here" if working else "no run is at work here")


def _states(run: Path, working: bool) -> list[_State]:
    """Every planned cell's, in the order of the plan."""
    from bench.run import index

    plan, found = load_plan(run), index.refresh(run)
    states = []
    for name in (key.name for key in plan.cells):
        entry, problem = found.look(name)
        if entry:
            states.append(_State(name, entry.status, entry.error or f"{entry.seconds:.0f} s"))
        elif problem:
            states.append(_State(name, "corrupt", problem))
        elif (folder := CellFolder(run / "cells" / name)).job.exists():
            states.append(_unfinished(name, folder, working))
        else:
            states.append(_State(name, "waiting", ""))
    return states


def _table(cells: Sequence[_State]) -> str:
    wide = max(len(cell.cell) for cell in cells)
    return "\n".join(f"{cell.cell:{wide}}  {cell.state:11}  {cell.detail}".rstrip() for cell in cells)


def _unfinished(name: str, folder: CellFolder, working: bool) -> _State:
    if not working:
        return _State(name, "interrupted", _stage(folder))
    sign = heartbeat.last(folder)
    return _State(name, "running", _told(sign) if sign else _stage(folder), sign)


def _told(sign: Sign) -> str:
    """How far a cell is, and since when; that its process is silent, if it is."""
    step = f", step {sign.done} of {sign.total}" if sign.total else ""
    silent = f"; no sign of its process for {duration(sign.since_sign)}" if sign.since_sign > _SILENT else ""
    return f"{sign.stage}{step}; last step {duration(sign.since_step)} ago{silent}"


def _stage(folder: CellFolder) -> str:
    """Where an unfinished cell is."""
    if folder.trained.exists():
        return "trained; rendering or scoring"
    try:
        stage, step, seconds, _ = json.loads(folder.steps.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return "training"
    return f"training: {stage}, step {step}, {seconds:.0f} s"
