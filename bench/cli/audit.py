"""``bench audit``: how much of what a run's methods rendered was copied from the test frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.output import JSON, CommaList, console, emit

if TYPE_CHECKING:
    from bench.audit.cells import Audited

_REGIONS = ("face", "mouth", "hair", "torso", "background")


@click.command("audit")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--cell", "cells", multiple=True, metavar="NAME", help="Only this cell; can be given again.")
@click.option("--frames", type=click.IntRange(min=1), default=32, show_default=True, help="Test frames to render.")
@click.option("--subjects", type=CommaList(), default=[], help="Folders of subjects that aren't known by name here.")
@click.option("--device", default="cpu", show_default=True, metavar="auto|cpu|cuda", help="Where methods render.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw the shares into this PNG file.")
@JSON
@click.pass_context
def command(
    ctx: click.Context, run: Path, cells: Sequence[str], frames: int, subjects: list[str], device: str,
    picture: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Render test frames of RUN's finished cells again, the ground truth disturbed: what changes was copied.

    Nothing in RUN is changed. Exit code 1 if a finished cell can't be audited.
    """
    from bench import catalogue, system
    from bench.audit.cells import audit_cell
    from bench.errors import unknown
    from bench.records import load_plan
    from bench.run.layout import RunFolder

    known = {key.name: key for key in load_plan(run).cells}
    for name in cells:
        if name not in known:
            raise unknown("cell", name, known)
    people = {subject.name: subject for subject in map(catalogue.resolve, subjects)}
    where, found = system.pick_device(device), []
    chosen = [key for name, key in known.items() if not cells or name in cells]
    with _bar(len(chosen)) as step:
        for key in chosen:
            step(key.name)
            found.append(audit_cell(key, RunFolder(run).cell(key), frames, where, people))
    if as_json:
        emit({"run": str(run), "frames": frames, "cells": [_document(result) for result in found]})
    else:
        _print_table(found)
    if picture:
        _draw(picture, found)
    ctx.exit(1 if any(result.error for result in found) else 0)


def _draw(path: Path, found: Sequence[Audited]) -> None:
    from bench.audit.picture import draw

    rows = [result.row() for result in found if result.audit]
    if rows:
        draw(path, rows)
    else:
        click.echo(f"{path} was not drawn: no cell has been audited", err=True)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr, only where someone is watching; called at the start of each cell with its name."""
    from rich.console import Console
    from rich.progress import Progress

    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("", total=total)
        started = iter(range(total))
        yield lambda name: bar.update(task, description=name, completed=next(started))


def _document(result: Audited) -> dict[str, Any]:
    state = "skipped" if result.skipped else "failed" if result.error else "ok"
    document: dict[str, Any] = {
        "cell": result.cell.name, "state": state, "reason": result.skipped or result.error or None,
        "canvas": result.canvas,
    }  # fmt: skip
    if result.audit:
        names = ("ids", "share", "per_frame", "regions", "noise", "plates")
        document |= {name: getattr(result.audit, name) for name in names}
    return document


def _print_table(found: Sequence[Audited]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("cell", "canvas"):
        table.add_column(title, overflow="fold")
    for title in ("copied %", *_REGIONS, "noise", "frames"):
        table.add_column(title, justify="right")
    for result in found:
        if audit := result.audit:
            shares = [_percent(share) for share in (audit.share, *(audit.regions[name] for name in _REGIONS))]
            rest = [f"{audit.noise:.2f}", str(len(audit.ids))]
            table.add_row(escape(result.cell.name), escape(result.canvas), *shares, *rest)
    if table.row_count:
        console().print(table)
    for result in found:
        if result.skipped:
            click.echo(f"{result.cell.name}: skipped, {result.skipped}")
        if result.error:
            click.echo(f"error: {result.cell.name}: {result.error}", err=True)


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.1f}"
