"""``bench leaderboard``: a static site over many runs."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON, emit


@click.command("leaderboard")
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboard"),
    show_default=True,
    help="Folder of the site; one that holds something else is left alone.",
)
@JSON
def command(runs: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Write a site over RUNS: one table, a page a method, a page a subject with players.

    Each cell comes from the run that has it: an ok one before others, then the latest. Numbers that were measured in different ways
    have columns of their own. The folder can be served or opened as it is; it needs no network.
    """
    from bench.report.leaderboard import DATA, build

    page = build(runs, out)
    if as_json:
        emit({"page": str(page), "data": str(out / DATA), "runs": [str(run) for run in runs]})
    else:
        click.echo(page)
