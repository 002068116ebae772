"""``--dry-run``: the plan, and what it will take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from bench.cli.output import console, emit, together
from bench.units import UNKNOWN, duration, size

if TYPE_CHECKING:
    from rich.table import Table

    from bench.containers.plan import ProgramPlan
    from bench.run.budget import Budget, Cost
    from bench.run.estimate import Estimate
    from bench.run.preflight import Prepared


def show(runs: Sequence[Prepared], budgets: Sequence[Budget], as_json: bool) -> None:
    """Print what would happen; one document or one table a run."""
    pairs = list(zip(runs, budgets, strict=True))
    if as_json:
        emit(together([_document(prepared, budget) for prepared, budget in pairs]))
        return
    for prepared, budget in pairs:
        _print(prepared, budget)
    for note in dict.fromkeys(note for prepared in runs for note in prepared.notes):
        click.echo(f"note: {note}", err=True)


def _document(prepared: Prepared, budget: Budget) -> dict[str, Any]:
    return {
        "run": str(prepared.run.root),
        "device": prepared.plan.device,
        "protocol": prepared.plan.protocol,
        "notes": prepared.notes,
        "cells": [
            cost.job.cell.model_dump()
            | {"name": cost.job.cell.name, "state": cost.state, "kept": cost.kept}
            | {"from": str(cost.giver) if cost.giver else None, "estimate": _values(cost.estimate)}
            for cost in budget.costs
        ],
        "estimate": {
            "at_once": budget.parallel,
            "wall_seconds": budget.wall_seconds,
            "cell_seconds": budget.cell_seconds,
            "unknown_cells": budget.unknown,
            "memory_bytes": budget.memory,
            "vram_bytes": budget.vram,
            "disk_bytes": budget.disk,
        },
        "programs": [{"cell": name} | found.values() for name, found in _program_plans(prepared).items()],
    }


def _values(estimate: Estimate) -> dict[str, Any]:
    return {
        "seconds": estimate.seconds,
        "memory_bytes": estimate.memory,
        "vram_bytes": estimate.vram,
        "disk_bytes": estimate.disk,
        "from": str(estimate.record) if estimate.record else None,
        "scaled_by": estimate.ratio,
        "machine": estimate.machine or None,
    }


def _print(prepared: Prepared, budget: Budget) -> None:
    out = console()
    out.print(_table(budget))
    lines = [
        ("run folder", str(prepared.run.root)),
        ("device", prepared.plan.device),
        ("protocol", prepared.plan.protocol),
    ]
    for title, text in (*lines, *_totals(budget)):
        out.print(f"{title:<12}{text}", markup=False, soft_wrap=True)
    for name, found in _program_plans(prepared).items():
        out.print("", name, *(f"  {line}" for line in found.lines()), sep="\n", markup=False, soft_wrap=True)


def _table(budget: Budget) -> Table:
    from rich.markup import escape
    from rich.table import Table

    on_gpu = any(cost.job.device.startswith("cuda") for cost in budget.costs)
    table = Table(box=None, pad_edge=False)
    for title in ("cell", "state", "what happens"):
        table.add_column(title)
    for title in ("time", "GPU memory" if on_gpu else "memory", "disk"):
        table.add_column(title, justify="right")
    table.add_column("as")
    for cost in budget.costs:
        table.add_row(escape(cost.job.cell.name), cost.state, *map(escape, _cells(cost, on_gpu)))
    return table


def _cells(cost: Cost, on_gpu: bool) -> tuple[str, str, str, str, str]:
    """What happens, time, memory, disk, and which cell is the measure."""
    if cost.kept:
        return f"taken over from {cost.giver.name}" if cost.giver else "kept", "", "", "", ""
    happens = f"run, checkpoint from {cost.giver.name}" if cost.giver else "run"
    estimate = cost.estimate
    if estimate.record is None:
        return happens, UNKNOWN, UNKNOWN, UNKNOWN, ""
    memory = estimate.vram if on_gpu else estimate.memory
    return happens, duration(estimate.seconds), size(memory), size(estimate.disk), _measure(estimate)


def _measure(estimate: Estimate) -> str:
    assert estimate.record
    cell = estimate.record.parent
    text = f"{cell.parents[1].name}/{cell.name}"
    if estimate.ratio != 1:
        text += f", scaled × {estimate.ratio:.2g}"
    return text + (f", measured on {estimate.machine}" if estimate.machine else "")


def _totals(budget: Budget) -> Iterator[tuple[str, str]]:
    unknown = f"; {budget.unknown} cells unknown" if budget.unknown else ""
    known = len(budget.pending) - budget.unknown
    if known:
        yield "time", f"about {duration(budget.wall_seconds)}, {budget.parallel} cells at once{unknown}"
    elif budget.unknown:
        yield "time", f"{UNKNOWN}: no record of such cells here or in the run folders beside"
    if budget.memory:
        yield "memory", f"up to {size(budget.memory)} for the largest {budget.parallel} cells that are known"
    if budget.vram:
        yield "GPU memory", f"up to {size(budget.vram)}"
    if budget.pending:
        yield "disk", f"about {size(budget.disk)}, with room for training"


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
