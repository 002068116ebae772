"""``bench run``: methods × subjects × seeds, each cell trained, rendered, scored and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bench.cli.cells import Options, carry_out, run_options
from bench.cli.output import CommaList, console, emit, print_parts

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
    if finished is None:
        return
    if chosen.as_json:
        emit(finished.document() | {"table_1": _table_1(finished.overview)})
    else:
        _show(finished.overview)
        finished.show_cells()
    finished.leave()


def _table_1(overview: Overview) -> dict[str, Any] | None:
    from bench.report.paper_text import to_values

    return to_values(overview.table_1) if overview.table_1 else None


def _show(overview: Overview) -> None:
    from bench.report.paper_text import to_rich as table_1_rich
    from bench.report.tables import to_rich

    parts = table_1_rich(overview.table_1, console().width) if overview.table_1 else []
    print_parts([to_rich(overview), *parts])
