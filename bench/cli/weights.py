"""``bench weights``: the model files that talkbench doesn't ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench import weights
from bench.cli.output import JSON, console, emit
from bench.errors import RecordError, UsageError


@click.group("weights")
def command() -> None:
    """Model files: which there are, fetch them, check them."""


@command.command("list")
@JSON
def list_weights(as_json: bool) -> None:
    """List the model files with state, licence and who needs them."""
    _print([_row(entry) for entry in weights.REGISTRY.values()], as_json)


@command.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--from", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A copy that you have."
)
@JSON
def fetch(names: tuple[str, ...], file: Path | None, as_json: bool) -> None:
    """Bring model files into the cache, checked by hash; nothing happens to those that are there."""
    if file and len(names) > 1:
        raise UsageError("--from takes one NAME, the file's")
    for entry in [weights.get(name) for name in names]:
        click.echo(f"{entry.name}: {weights.fetch(entry.name, file)}", err=True)
    _print([_row(weights.get(name)) for name in names], as_json)


@command.command("check")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@JSON
@click.pass_context
def check(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Check the hashes of the files that are here; with NAMEs, these must be here."""
    rows = [
        row
        for row in (_row(weights.get(name)) for name in names or weights.REGISTRY)
        if names or row["state"] != "absent"
    ]
    _print(rows, as_json)
    if any(row["state"] in ("absent", "broken") for row in rows):
        click.echo("error: not every model file is here and whole", err=True)
        ctx.exit(RecordError.exit_code)


def _row(entry: weights.Weights) -> dict[str, Any]:
    fields = ("name", "file", "origin", "sha256", "size", "licence", "needed_by")
    row = {field: getattr(entry, field) for field in fields}
    return row | {"path": str(entry.path), "state": entry.state(), "remedy": entry.remedy()}


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        emit({"weights": rows})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("state", "needed by", "licence"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["name"], row["state"], row["needed_by"], row["licence"])
    console().print(table)
    for row in rows:
        if row["state"] in ("absent", "broken"):
            click.echo(f"{row['name']}: {row['remedy']}", err=True)
