"""``bench report``: the HTML report of a run."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import click

from bench.cli.notes import noted
from bench.cli.output import console, print_parts


@click.command("report")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@click.option("--table", type=click.Choice(["md", "csv"]), help="Print the table in this form and write no page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def command(run: Path, show: bool, table: str | None, as_json: bool) -> None:
    """Write RUN/report/index.html: tables, players and curves in a page that needs no network and no server.

    Videos are inside the page, or in RUN/report/media if they are large: the folder can be given away alone. Of a run of more than 1,000
    cells the page has means over subjects and seeds, and what went wrong.
    """
    from bench.report import build
    from bench.report.overview import Overview
    from bench.report.paper_text import ablation_rich, ablation_values, to_values
    from bench.report.paper_text import to_rich as table_1_rich
    from bench.report.tables import to_csv, to_markdown, to_rich, to_summary

    with noted():
        overview = Overview.to_show(run)
    if table:
        click.echo({"md": to_markdown, "csv": to_csv}[table](overview), nl=False)
        return
    page = build(overview)
    ablations = [] if overview.is_condensed else overview.ablations
    if as_json:
        table_1 = to_values(overview.table_1) if overview.table_1 else None
        found = {"summary": to_summary(overview), "table_1": table_1}
        found |= {"ablations": [ablation_values(view) for view in ablations]}
        click.echo(json.dumps({"run": str(run), "report": str(page)} | found, allow_nan=False))
    else:
        width = console().width
        parts = [part for view in ablations for part in ablation_rich(view, width)]
        if overview.table_1 and not parts:
            parts = table_1_rich(overview.table_1, width)
        print_parts([to_rich(overview), *parts])
        click.echo(page)
    if show:
        webbrowser.open(page.resolve().as_uri())
