"""``bench import``: see :mod:`bench.archive`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON
from bench.cli.progress import counting
from bench.cli.run_export import told


@click.command("import")
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: the run's name, beside ARCHIVE]")
@JSON
def command(archive: Path, out: Path | None, as_json: bool) -> None:
    """Unpack ARCHIVE, made by `bench export`, and prove every file by its hash.

    Then `bench verify` recomputes the scores, and `bench report` writes the report again.
    """
    from bench.archive import unpack

    with counting(f"unpacking {archive}", in_bytes=True) as tell:
        packed = unpack(archive, out, tell)
    told(packed, as_json)
