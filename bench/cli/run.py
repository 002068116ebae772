"""``bench run``: methods × subjects × seeds, each cell trained, rendered, scored and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bench.cli.cells import carry_out, leave
from bench.cli.output import CommaList, console, emit, print_parts, together
from bench.cli.run_options import Options, run_options

if TYPE_CHECKING:
    from bench.report.overview import Overview


@click.command("run")
@click.option(
    "--methods", type=CommaList(), required=True, metavar="A,B", help="Methods (`bench methods list`), or all."
)
@run_options
def command(methods: list[str], **options: Any) -> None:
    """Train METHODS on SUBJECTS, render the test split, score it, and keep a record of everything.

    The same command goes on where it was stopped, by whatever: finished cells are kept, failed ones are run again.
    """
    chosen = Options(**options)
    finished = carry_out(methods, chosen)
    if not finished:
        return
    if chosen.as_json:
        emit(together([run.document() | {"table_1": _table_1(run.overview)} for run in finished]))
    else:
        for run in finished:
            _show(run.overview)
            run.show_cells()
    leave(finished)


def _table_1(overview: Overview) -> dict[str, Any] | None:
    from bench.report.paper_text import to_values

    return to_values(overview.table_1) if overview.table_1 else None


def _show(overview: Overview) -> None:
    from bench.report.paper_text import to_rich as table_1_rich
    from bench.report.tables import to_rich

    parts = table_1_rich(overview.table_1, console().width) if overview.table_1 else []
    print_parts([to_rich(overview), *parts])
