"""``bench doctor``: one line for everything that talkbench leans on, with a remedy for whatever is missing."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from bench.cli.output import JSON, console, emit

_MARKS = {"ok": "[green]ok[/green]", "absent": "[yellow]absent[/yellow]", "broken": "[red]broken[/red]"}


@click.command("doctor")
@JSON
def command(as_json: bool) -> None:
    """Check this machine. Exit code 1 if something needed is broken."""
    from rich.markup import escape
    from rich.table import Table

    from bench.doctor import findings

    found = list(findings())
    if as_json:
        emit({"findings": [asdict(finding) for finding in found]})
    else:
        view = Table(box=None, show_header=False, pad_edge=False)
        for _ in range(4):
            view.add_column(overflow="fold")
        for finding in found:
            view.add_row(_MARKS[finding.state], escape(finding.what), escape(finding.detail), escape(finding.remedy))
        console().print(view)
    sys.exit(1 if any(finding.state == "broken" for finding in found) else 0)
