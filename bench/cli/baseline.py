"""``bench baseline``: what later runs are checked against."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON


@click.command("baseline")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@JSON
def command(run: Path, as_json: bool) -> None:
    """Print RUN as a baseline for `bench check`: values, intervals, signatures, subject hashes, per-frame values.

    \b
      bench baseline runs/… > baseline.json

    It is JSON with or without --json. A run with a failed, invalid or unfinished cell is refused (exit code 4).
    """
    from bench.regression import Baseline
    from bench.report.data import load

    click.echo(Baseline.of(load(run)).text(), nl=False)
