"""How ``bench run`` and ``bench ablate`` check, do and tell a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.output import console
from bench.cli.plan_file import spelt
from bench.cli.run_options import Options
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.report.data import Cell
    from bench.report.overview import Overview
    from bench.run.budget import Budget
    from bench.run.executors import Execute
    from bench.run.preflight import Prepared, Request

_EXIT_FAILED, _EXIT_INVALID = 1, 4
_TOLD = 50
"""Cells that went wrong and are told one by one."""


@dataclass(frozen=True)
class Finished:
    """A run that came to its end, and its report."""

    prepared: Prepared
    report: Path
    overview: Overview

    @cached_property
    def cells(self) -> list[Cell]:
        """Those that were asked for; the folder may hold more."""
        asked = {job.cell for job in self.prepared.jobs}
        return [cell for cell in self.overview.run.cells if cell.key in asked]

    def document(self) -> dict[str, Any]:
        """The run as JSON values (design.md §8)."""
        from bench.records import load_record
        from bench.run.summary import document

        plan = self.prepared.plan
        records = (load_record(job.folder.record) for job in self.prepared.jobs)
        return {"protocol": plan.protocol} | document(self.prepared.run.root, records, plan.references)

    def show_cells(self) -> None:
        """Where everything is, and what went wrong."""
        out, run = console(), self.prepared.run
        lines = {"protocol": self.prepared.plan.protocol, "run": run.root, "report": self.report}
        for title, text in lines.items():
            out.print(f"{title:<8}  {text}", markup=False, soft_wrap=True)
        wrong = [cell for cell in self.cells if cell.error]
        for cell in wrong[:_TOLD]:
            text = f"{cell.status}  {cell.key.name}: {cell.error} (log: {run.cell(cell.key).log})"
            out.print(text, markup=False, soft_wrap=True)
        if wrong[_TOLD:]:
            out.print(
                f"and {len(wrong) - _TOLD} more: bench status {run.root} --state failed,invalid",
                markup=False,
                soft_wrap=True,
            )


def leave(runs: Sequence[Finished]) -> None:
    """End with the exit code of the worst cell."""
    states = {cell.status for run in runs for cell in run.cells}
    sys.exit(_EXIT_FAILED if states - {"ok", "invalid"} else _EXIT_INVALID if "invalid" in states else 0)


def carry_out(methods: Sequence[str], options: Options) -> list[Finished]:
    """Check everything, then do it and write the reports: one run for each protocol. Under ``--dry-run`` show the plan, return nothing.

    Raises:
        UsageError, DataError, AbsentError: as :func:`bench.run.preflight.prepare` and :func:`bench.run.budget.check`.
    """
    from bench.run import budget, executors
    from bench.run.preflight import prepare

    execute = executors.get(options.executor)
    runs = [prepare(request) for request in _requests(methods, options)]
    local = options.executor == "local"
    budgets = budget.budgets(runs, options.jobs, force=options.force, reuse=options.reuse, local=local)
    budget.check(runs, budgets, local=local)
    if options.dry_run:
        from bench.cli import dry_run

        dry_run.show(runs, budgets, options.as_json)
        return []
    return [_finished(*pair, options, execute) for pair in zip(runs, budgets, strict=True)]


def _requests(methods: Sequence[str], options: Options) -> list[Request]:
    """One for each protocol, in a folder of its own."""
    from bench.run.preflight import Request

    o, names = options, list(dict.fromkeys(options.protocol))
    if not names:
        raise UsageError("--protocol is empty: name one or more, such as neutral")
    one = Request(
        methods, o.subjects, o.preset, o.seeds, names[0], o.metrics, o.detector, o.references, o.device, o.out,
        spelt(click.get_current_context()), o.profile, o.log or "", o.load,
    )  # fmt: skip
    if len(names) == 1:
        return [one]
    return [replace(one, protocol=name, out=_beside(o.out, name)) for name in names]


def _beside(out: Path | None, protocol: str) -> Path | None:
    """The folder of one of several protocols: beside the others, so that they share checkpoints."""
    return out and out.absolute().parent / f"{out.absolute().name}-{protocol}"


def _finished(prepared: Prepared, budget: Budget, options: Options, execute: Execute) -> Finished:
    _run(prepared, budget, options, execute)

    from bench.report import build
    from bench.report.overview import Overview

    overview = Overview.to_show(prepared.run.root)
    return Finished(prepared, build(overview), overview)


def _run(prepared: Prepared, budget: Budget, options: Options, execute: Execute) -> None:
    from bench import system
    from bench.run.cancel import stoppable
    from bench.run.display import Display
    from bench.run.preflight import require_programs
    from bench.run.session import run_cells

    pending = budget.pending
    training = len(prepared.jobs) - len(prepared.plan.references)
    threads = options.threads or system.threads_per_cell(training, budget.parallel)
    limit = options.time_limit * 60 if options.time_limit else None
    require_programs(cost.job for cost in pending)
    expected = {cost.job.cell: cost.estimate.seconds for cost in pending}
    with Display(prepared.run, expected, len(budget.costs) - len(pending)) as display, stoppable():
        for note in prepared.notes:
            display.note(note)
        try:
            run_cells(
                prepared, execute, parallel=budget.parallel, threads=threads, limit=limit, force=options.force,
                reuse=options.reuse, display=display,
            )  # fmt: skip
        except KeyboardInterrupt:
            display.note(
                f"stopped; what is finished is kept in {prepared.run.root}. To go on, give the same command again"
            )
            raise
