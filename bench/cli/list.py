"""``bench list``: methods, subjects and presets at a glance."""

from __future__ import annotations

import click

from bench.cli.data import subject_rows, subjects_table
from bench.cli.methods import method_rows, methods_table
from bench.cli.output import JSON, console, emit
from bench.contract import PRESETS


@click.command("list")
@JSON
def command(as_json: bool) -> None:
    """Show what can be run: methods, subjects, presets."""
    methods, subjects = method_rows(), subject_rows()
    if as_json:
        emit({"methods": methods, "subjects": subjects, "presets": list(PRESETS)})
        return
    out = console()
    out.print(methods_table(methods))
    out.print()
    out.print(subjects_table(subjects))
    out.print(f"\n[bold]presets[/bold]  {'  '.join(PRESETS)}")
