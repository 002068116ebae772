"""``bench weights``: the model files that talkbench doesn't ship."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench import weights
from bench.cli.output import JSON, console, emit
from bench.errors import RecordError, UsageError

if TYPE_CHECKING:
    from bench.download import Tell


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
        with _progress(entry) as tell:
            path = weights.fetch(entry.name, file, tell)
        note = (
            "" if entry.sha256 else f" (its hash is unknown, so nothing was checked; sha256 {weights.sha256_of(path)})"
        )
        click.echo(f"{entry.name}: {path}{note}", err=True)
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


@contextmanager
def _progress(entry: weights.Weights) -> Iterator[Tell]:
    """A bar on stderr, shown once a download has begun and stderr is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(entry.name, total=entry.size, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.1f} MB"


def _row(entry: weights.Weights) -> dict[str, Any]:
    fields = ("name", "file", "origin", "url", "sha256", "sha256_from", "size", "licence", "needed_by")
    row = {field: getattr(entry, field) for field in fields}
    return row | {"path": str(entry.path), "state": entry.state(), "remedy": entry.remedy()}


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        emit({"weights": rows})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("state", "size", "sha256", "needed by", "licence"):
        table.add_column(column, overflow="fold")
    for row in rows:
        cells = (row["name"], row["state"], _size(row["size"]), (row["sha256"] or "unknown")[:8])
        table.add_row(*cells, row["needed_by"], row["licence"])
    console().print(table)
    for row in rows:
        if row["state"] in ("absent", "broken"):
            click.echo(f"{row['name']}: {row['remedy']}", err=True)
