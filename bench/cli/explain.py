"""``bench explain``: where a cell's numbers come from."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON, console, emit


@click.command("explain")
@click.argument("cell", type=click.Path(exists=True, file_okay=False, path_type=Path))
@JSON
def command(cell: Path, as_json: bool) -> None:
    """Show the chain from the source video to each number of CELL, a cell's folder (RUN/cells/CELL).

    What it reads is proved by `bench verify`.
    """
    from bench.explain import explain

    chain = explain(cell)
    if as_json:
        emit({"cell": str(cell), "chain": [{"step": link.step, "lines": list(link.lines)} for link in chain]})
        return
    out, wide = console(), max(len(link.step) for link in chain) + 2
    for link in chain:
        for k, line in enumerate(link.lines):
            out.print(f"{link.step if not k else '':{wide}}{line}", markup=False, soft_wrap=True)
