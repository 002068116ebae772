"""``bench export`` and ``bench import``: a run in one file, to be checked elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import JSON, emit

if TYPE_CHECKING:
    from bench.archive import Packed


@click.command("export")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("archive", type=click.Path(path_type=Path))
@JSON
def command(run: Path, archive: Path, as_json: bool) -> None:
    """Pack RUN, a run folder, into the new file ARCHIVE (run.zip), with a hash of every file.

    Subjects are not packed. Elsewhere: `bench import`, then `bench verify`.
    """
    from bench.archive import pack

    with bar(f"packing {run}") as tell:
        packed = pack(run, archive, tell)
    told(packed, as_json)


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of bytes on stderr, only where someone is watching."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    stderr = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def told(packed: Packed, as_json: bool) -> None:
    """Say where it is and how large."""
    if as_json:
        emit({"place": str(packed.place), "files": packed.files, "bytes": packed.bytes})
    else:
        click.echo(f"{packed.place}  ({packed.files} files, {packed.bytes / 2**20:.1f} MiB)")
