"""``bench gc``: remove what a run leaves behind and nobody needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import JSON, console, emit
from bench.errors import UsageError
from bench.units import size

if TYPE_CHECKING:
    from bench.run.leftovers import Leftover


@click.command("gc")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--caches", is_flag=True, help="Also the caches of single frames (LPIPS, landmarks): scoring fills them again."
)
@click.option("--dry-run", is_flag=True, help="Show what may go, remove nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@JSON
def command(runs: tuple[Path, ...], caches: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove what is left in RUNS, run folders, and nobody needs: half-written files, cells that aren't in the plan, state for
    resuming a training that is over, and programs that a killed run left running.

    Records, checkpoints, frames, and whatever proves them stay. A run at work is refused.
    """
    from bench.run import leftovers

    if not runs and not caches:
        raise UsageError("name a run folder, or --caches")
    if as_json and not (yes or dry_run):
        raise UsageError("--json can't ask: add --yes or --dry-run")
    with leftovers.at_rest(list(runs)):
        found = [leftover for run in runs for leftover in leftovers.of_run(run)]
        found += leftovers.caches() if caches else ()
        orphans = _orphans(remove=False) if runs else 0
        if not as_json:
            _show(found, orphans)
        going = bool(found or orphans) and not dry_run and (yes or _agreed())
        if going:
            for leftover in found:
                leftovers.remove(leftover)
            if orphans:
                _orphans(remove=True)
    if as_json:
        rows = [{"path": str(one.path), "bytes": one.bytes, "why": one.why} for one in found]
        emit({"removed": going, "bytes": sum(one.bytes for one in found), "leftovers": rows, "orphans": orphans})


def _show(found: list[Leftover], orphans: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    for leftover in found:
        table.add_row(size(leftover.bytes), leftover.why, escape(str(leftover.path)))
    if found:
        console().print(table)
    if orphans:
        click.echo(f"{orphans} programs of killed runs are still running or kept by the engine")
    click.echo(f"{size(sum(one.bytes for one in found))} may go" if found or orphans else "nothing to remove")


def _agreed() -> bool:
    try:
        return click.confirm("remove all this?")
    except click.Abort:
        raise UsageError("nothing was removed: answer y, or give --yes") from None


def _orphans(remove: bool) -> int:
    from bench.containers import orphans

    return orphans.clear() if remove else orphans.count()
