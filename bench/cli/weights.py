"""``bench weights``: the model files that talkbench doesn't ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bench import weights
from bench.errors import AbsentError, RecordError, UsageError

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


@click.group("weights")
def command() -> None:
    """Model files: which there are, fetch them, check them."""


@command.command("list")
@_JSON
def list_weights(as_json: bool) -> None:
    """List the model files with state, licence and who needs them."""
    _print([_row(entry) for entry in weights.REGISTRY.values()], as_json)


@command.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--from", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A copy that you have."
)
@_JSON
def fetch(names: tuple[str, ...], file: Path | None, as_json: bool) -> None:
    """Bring model files into the cache, checked by hash; nothing happens to those that are there."""
    if file and len(names) > 1:
        raise UsageError("--from takes one NAME, the file's")
    for entry in [weights.get(name) for name in names]:
        click.echo(f"{entry.name}: {weights.fetch(entry.name, file)}", err=True)
    _print([_row(weights.get(name)) for name in names], as_json)


@command.command("check")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@_JSON
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Check the hashes of the files that are here; with NAMEs, these must be here."""
    rows = [_row(weights.get(name)) for name in names or weights.REGISTRY]
    _print([row for row in rows if names or row["state"] != "absent"], as_json)
    for row in rows:
        if row["state"] == "broken":
            raise RecordError(f"{row['path']}: wrong hash; delete it, then: {row['remedy']}")
        if names and row["state"] == "absent":
            raise AbsentError(f"{row['name']} is not here: {row['remedy']}")


def _row(entry: weights.Weights) -> dict[str, Any]:
    fields = ("name", "file", "origin", "sha256", "size", "licence", "needed_by")
    row = {field: getattr(entry, field) for field in fields}
    return row | {"path": str(entry.path), "state": entry.state(), "remedy": entry.remedy()}


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"weights": rows}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("state", "needed by", "licence"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["name"], row["state"], row["needed_by"], row["licence"])
    Console().print(table)
    for row in rows:
        if row["state"] in ("absent", "broken"):
            click.echo(f"{row['name']}: {row['remedy']}", err=True)
