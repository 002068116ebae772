"""``bench cancel``: stop a run that is at work."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON, emit
from bench.records import Plan, load_plan
from bench.run.cancel import stop
from bench.run.layout import RunFolder


@click.command("cancel")
@click.argument("run", type=click.Path(path_type=Path))
@JSON
def command(run: Path, as_json: bool) -> None:
    """Stop the run that is at work in RUN, a run folder, as Ctrl-C where it was started would.

    Waits until it has ended. Finished cells are kept, those at work go on from their last checkpoint when the run is started again.
    """
    folder = RunFolder(run)
    plan = load_plan(run)
    stopped = stop(folder)
    over, begun = _counts(folder, plan)
    waiting = len(plan.cells) - over - begun
    if as_json:
        process = stopped.process if stopped else None
        cells = {"over": over, "begun": begun, "waiting": waiting}
        emit({"run": str(run), "stopped": stopped is not None, "process": process, **cells, "command": plan.command})
        return
    click.echo(f"stopped process {stopped.process}" if stopped else f"no run is at work in {run}")
    click.echo(f"kept    {over} of {len(plan.cells)} cells are over, {begun} were begun, {waiting} not")
    if plan.command and begun + waiting:
        click.echo(f"to go on: {plan.command}")


def _counts(run: RunFolder, plan: Plan) -> tuple[int, int]:
    """Cells that have a record, and others that were begun."""
    over = [key for key in plan.cells if run.cell(key).record.exists()]
    return len(over), sum(run.cell(key).job.exists() for key in plan.cells) - sum(
        run.cell(key).job.exists() for key in over
    )
