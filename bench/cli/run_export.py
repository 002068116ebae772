"""``bench export`` and ``bench import``: a run in one file, to be checked elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import JSON, emit
from bench.cli.progress import counting

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

    with counting(f"packing {run}", in_bytes=True) as tell:
        packed = pack(run, archive, tell)
    told(packed, as_json)


def told(packed: Packed, as_json: bool) -> None:
    """Say where it is and how large."""
    if as_json:
        emit({"place": str(packed.place), "files": packed.files, "bytes": packed.bytes})
    else:
        click.echo(f"{packed.place}  ({packed.files} files, {packed.bytes / 2**20:.1f} MiB)")
