"""``bench run``: methods × subjects × seeds, each cell trained, rendered, scored and recorded."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import JSON, CommaList, console, emit
from bench.contract import PRESETS

if TYPE_CHECKING:
    from bench.records import Record
    from bench.run.preflight import Prepared

_EXIT_FAILED, _EXIT_INVALID = 1, 4


@click.command("run")
@click.option(
    "--methods", type=CommaList(), required=True, metavar="A,B", help="Methods (`bench methods list`), or all."
)
@click.option(
    "--subjects",
    type=CommaList(),
    default="",
    metavar="S,T",
    help="Names or folders, or all.  [default: the embedded ones]",
)
@click.option("--preset", type=click.Choice(PRESETS), default="quick", show_default=True, help="How long to train.")
@click.option(
    "--seeds", type=CommaList(int), default="0", show_default=True, metavar="0,1", help="One cell for each seed."
)
@click.option("--protocol", default="neutral", show_default=True, help="What is measured (`bench protocols list`).")
@click.option(
    "--metrics",
    type=CommaList(),
    default="",
    metavar="A,B",
    help="What to score (`bench metrics list`).  [default: what the protocol names]",
)
@click.option("--detector", metavar="mediapipe|fan|dlib", help="Landmark detector.  [default: the protocol's]")
@click.option(
    "--references/--no-references",
    default=True,
    show_default=True,
    help="Add floor and ceilings: mean-frame, codec, copy-gt.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run folder.  [default: runs/<preset>-<methods>-<hash of the request>]",
)
@click.option("--executor", type=click.Choice(["local"]), default="local", show_default=True, help="Where cells run.")
@click.option(
    "--jobs", type=click.IntRange(1), help="Cells at the same time.  [default: on the CPU one a core, on CUDA 1]"
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="CPU threads for each cell.  [default: the cores, shared out over the cells that train at the same time]",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where methods run."
)
@click.option("--time-limit", type=click.FloatRange(0, min_open=True), metavar="MIN", help="Minutes a cell may take.")
@click.option(
    "--profile",
    is_flag=True,
    help="Record the time of each part of a training step. Only what is trained now is measured: finished cells are kept.",
)
@click.option("--force", is_flag=True, help="Run finished cells again, from nothing.")
@click.option("--dry-run", is_flag=True, help="Check everything, show the plan, start nothing.")
@JSON
def command(
    methods: list[str], subjects: list[str], preset: str, seeds: list[int], protocol: str, metrics: list[str],
    detector: str | None, references: bool, out: Path | None, executor: str, jobs: int | None, threads: int | None, device: str,
    time_limit: float | None, profile: bool, force: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train METHODS on SUBJECTS, render the test split, score it, and keep a record of everything.

    The same command goes on where it was stopped, by whatever: finished cells are kept, failed ones are run again.
    """
    from bench import system
    from bench.run.preflight import Request, prepare

    request = Request(
        methods, subjects, preset, seeds, protocol, metrics, detector, references, device, out,
        shlex.join(["bench", *sys.argv[1:]]), profile,
    )  # fmt: skip
    prepared = prepare(request)
    if dry_run:
        _show_plan(prepared, as_json)
        return
    jobs = jobs or system.parallel_cells(system.pick_device(device), len(prepared.jobs))
    threads = threads or system.threads_per_cell(len(prepared.jobs) - len(prepared.plan.references), jobs)
    limit = time_limit * 60 if time_limit else None
    records = _run(prepared, jobs, threads, limit, force)
    report = _report(prepared)
    _show(prepared, records, report, as_json)
    states = {record.status for record in records}
    sys.exit(_EXIT_FAILED if "failed" in states else _EXIT_INVALID if "invalid" in states else 0)


def _run(prepared: Prepared, jobs: int, threads: int, limit: float | None, force: bool) -> list[Record]:
    from bench.run.display import Display
    from bench.run.session import run_cells

    with Display(prepared.run, len(prepared.jobs)) as display:
        for note in prepared.notes:
            display.note(note)
        try:
            return run_cells(prepared, parallel=jobs, threads=threads, limit=limit, force=force, display=display)
        except KeyboardInterrupt:
            display.note(
                f"stopped; what is finished is kept in {prepared.run.root}. To go on, give the same command again"
            )
            raise


def _report(prepared: Prepared) -> Path:
    from bench.report import build

    return build(prepared.run.root)


def _show(prepared: Prepared, records: list[Record], report: Path, as_json: bool) -> None:
    from bench.report.tables import to_rich
    from bench.run.summary import document

    if as_json:
        emit(document(prepared.run.root, records, prepared.plan.references))
        return
    out = console()
    out.print(to_rich(prepared.run.root))
    out.print(f"run     {prepared.run.root}\nreport  {report}", soft_wrap=True)
    for record in records:
        if record.error:
            log = prepared.run.cell(record.cell).log
            out.print(f"{record.status}  {record.cell.name}: {record.error} (log: {log})", markup=False, soft_wrap=True)


def _show_plan(prepared: Prepared, as_json: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from bench.run.preflight import standing

    states = [(job.cell, standing(job)) for job in prepared.jobs]
    if as_json:
        cells = [cell.model_dump() | {"name": cell.name, "state": stand.state} for cell, stand in states]
        emit({"run": str(prepared.run.root), "device": prepared.plan.device, "notes": prepared.notes, "cells": cells})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("cell", "state", "what happens"):
        table.add_column(title)
    for cell, stand in states:
        table.add_row(escape(cell.name), stand.state, "kept" if stand.record else "run")
    out = console()
    out.print(table)
    out.print(f"run folder  {prepared.run.root}\ndevice      {prepared.plan.device}", soft_wrap=True)
    for note in prepared.notes:
        click.echo(f"note: {note}", err=True)
