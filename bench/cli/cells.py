"""What ``bench run`` and ``bench ablate`` share: their options, and how a run is checked, done and told."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from bench.cli.output import JSON, CommaList, console, emit
from bench.contract import PRESETS

if TYPE_CHECKING:
    from bench.containers.plan import ProgramPlan
    from bench.records import Record
    from bench.report.overview import Overview
    from bench.run.executors import Execute
    from bench.run.preflight import Prepared

_EXIT_FAILED, _EXIT_INVALID = 1, 4
_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--subjects",
        type=CommaList(),
        default="",
        metavar="S,T",
        help="Names or folders, or all.  [default: the embedded ones]",
    ),
    click.option("--preset", type=click.Choice(PRESETS), default="quick", show_default=True, help="How long to train."),
    click.option(
        "--seeds", type=CommaList(int), default="0", show_default=True, metavar="0,1", help="One cell for each seed."
    ),
    click.option("--protocol", default="neutral", show_default=True, help="What is measured (`bench protocols list`)."),
    click.option(
        "--metrics",
        type=CommaList(),
        default="",
        metavar="A,B",
        help="What to score (`bench metrics list`).  [default: what the protocol names]",
    ),
    click.option("--detector", metavar="mediapipe|fan|dlib", help="Landmark detector.  [default: the protocol's]"),
    click.option(
        "--references/--no-references",
        default=True,
        show_default=True,
        help="Add floor and ceilings: mean-frame, codec, copy-gt.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="Run folder.  [default: runs/<preset>-<methods>-<hash of the request>]",
    ),
    click.option(
        "--executor",
        type=click.Choice(["local", "ray", "slurm"]),
        default="local",
        show_default=True,
        help="Where cells run: here, on a Ray cluster (RAY_ADDRESS), as a Slurm job array.",
    ),
    click.option(
        "--jobs", type=click.IntRange(1), help="Cells at the same time.  [default: on the CPU one a core, on CUDA 1]"
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        help="CPU threads for each cell.  [default: the cores, shared out over the cells that train at the same time]",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where methods run.",
    ),
    click.option(
        "--time-limit", type=click.FloatRange(0, min_open=True), metavar="MIN", help="Minutes a cell may take."
    ),
    click.option(
        "--profile",
        is_flag=True,
        help="Record the time of each part of a training step. Only what is trained now is measured: finished cells are kept.",
    ),
    click.option(
        "--log",
        type=click.Choice(["tensorboard"]),
        help="Also log training to the cells' tensorboard/ folders, as --profile.",
    ),
    click.option(
        "--load",
        type=click.Path(path_type=Path),
        metavar="CHECKPOINT",
        help="Render this checkpoint folder instead of training: one method, one subject.",
    ),
    click.option("--force", is_flag=True, help="Run finished cells again, from nothing."),
    click.option("--dry-run", is_flag=True, help="Check everything, show the plan, start nothing."),
    JSON,
)


def run_options(command: _Command) -> _Command:
    """The options of a run; the command gets them as keywords, for :class:`Options`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Options:
    """What :func:`run_options` were given."""

    subjects: Sequence[str]
    preset: str
    seeds: Sequence[int]
    protocol: str
    metrics: Sequence[str]
    detector: str | None
    references: bool
    out: Path | None
    executor: Literal["local", "ray", "slurm"]
    jobs: int | None
    threads: int | None
    device: str
    time_limit: float | None
    profile: bool
    log: Literal["tensorboard"] | None
    load: Path | None
    force: bool
    dry_run: bool
    as_json: bool


@dataclass(frozen=True)
class Finished:
    """A run that came to its end, and its report."""

    prepared: Prepared
    records: list[Record]
    report: Path
    overview: Overview

    def document(self) -> dict[str, Any]:
        """The run as JSON values (design.md §8)."""
        from bench.run.summary import document

        return document(self.prepared.run.root, self.records, self.prepared.plan.references)

    def show_cells(self) -> None:
        """Where everything is, and what went wrong."""
        out, run = console(), self.prepared.run
        out.print(f"run     {run.root}\nreport  {self.report}", markup=False, soft_wrap=True)
        for record in self.records:
            if record.error:
                text = f"{record.status}  {record.cell.name}: {record.error} (log: {run.cell(record.cell).log})"
                out.print(text, markup=False, soft_wrap=True)

    def leave(self) -> None:
        """End with the exit code of the worst cell."""
        states = {record.status for record in self.records}
        sys.exit(_EXIT_FAILED if "failed" in states else _EXIT_INVALID if "invalid" in states else 0)


def carry_out(methods: Sequence[str], options: Options) -> Finished | None:
    """Check the whole run, then do it and write its report; under ``--dry-run`` show the plan and return None.

    Raises:
        UsageError, DataError, AbsentError: as :func:`bench.run.preflight.prepare`.
    """
    from bench.run import executors
    from bench.run.preflight import Request, prepare

    o = options
    request = Request(
        methods, o.subjects, o.preset, o.seeds, o.protocol, o.metrics, o.detector, o.references, o.device, o.out,
        shlex.join(["bench", *sys.argv[1:]]), o.profile, o.log or "", o.load,
    )  # fmt: skip
    execute = executors.get(o.executor)
    prepared = prepare(request)
    if options.dry_run:
        _show_plan(prepared, options.as_json)
        return None
    records = _run(prepared, options, execute)

    from bench.report import build
    from bench.report.overview import Overview

    overview = Overview.of(prepared.run.root)
    return Finished(prepared, records, build(overview), overview)


def _run(prepared: Prepared, options: Options, execute: Execute) -> list[Record]:
    from bench import system
    from bench.run.display import Display
    from bench.run.preflight import require_programs
    from bench.run.session import run_cells
    from bench.run.standing import standing

    jobs = options.jobs or system.parallel_cells(system.pick_device(options.device), len(prepared.jobs))
    training = len(prepared.jobs) - len(prepared.plan.references)
    threads = options.threads or system.threads_per_cell(training, jobs)
    limit = options.time_limit * 60 if options.time_limit else None
    require_programs(job for job in prepared.jobs if options.force or not standing(job).record)
    with Display(prepared.run, len(prepared.jobs)) as display:
        for note in prepared.notes:
            display.note(note)
        try:
            return run_cells(
                prepared, execute, parallel=jobs, threads=threads, limit=limit, force=options.force, display=display
            )
        except KeyboardInterrupt:
            display.note(
                f"stopped; what is finished is kept in {prepared.run.root}. To go on, give the same command again"
            )
            raise


def _show_plan(prepared: Prepared, as_json: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from bench.run.standing import standing

    states = [(job.cell, standing(job)) for job in prepared.jobs]
    programs = _program_plans(prepared)
    if as_json:
        cells = [cell.model_dump() | {"name": cell.name, "state": stand.state} for cell, stand in states]
        plans = [{"cell": name} | found.values() for name, found in programs.items()]
        about = {"run": str(prepared.run.root), "device": prepared.plan.device, "notes": prepared.notes}
        emit(about | {"cells": cells, "programs": plans})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("cell", "state", "what happens"):
        table.add_column(title)
    for cell, stand in states:
        table.add_row(escape(cell.name), stand.state, "kept" if stand.record else "run")
    out = console()
    out.print(table)
    out.print(f"run folder  {prepared.run.root}\ndevice      {prepared.plan.device}", markup=False, soft_wrap=True)
    for name, found in programs.items():
        out.print("", name, *(f"  {line}" for line in found.lines()), sep="\n", markup=False, soft_wrap=True)
    for note in prepared.notes:
        click.echo(f"note: {note}", err=True)


def _program_plans(prepared: Prepared) -> dict[str, ProgramPlan]:
    """What the cells of programs would do, by cell name."""
    from bench import registry
    from bench.containers.plan import plan
    from bench.subject import Subject

    return {
        job.cell.name: plan(
            registry.program(job.cell.method, job.cell.backend), Subject(job.subject_root), job.folder.checkpoint,
            job.cell.preset, job.cell.seed, job.device, job.load,
        )
        for job in prepared.jobs
        if job.cell.backend != "native"
    }  # fmt: skip
