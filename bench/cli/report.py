"""``bench report``: the HTML report of a run."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import click

from bench.cli.output import console


@click.command("report")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@click.option("--table", type=click.Choice(["md", "csv"]), help="Print the table in this form and write no page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def command(run: Path, show: bool, table: str | None, as_json: bool) -> None:
    """Write RUN/report/index.html: one file with tables, players and curves that needs no network."""
    from bench.report import build
    from bench.report.tables import to_csv, to_markdown, to_rich, to_summary

    if table:
        click.echo({"md": to_markdown, "csv": to_csv}[table](run), nl=False)
        return
    page = build(run)
    if as_json:
        click.echo(json.dumps({"run": str(run), "report": str(page), "summary": to_summary(run)}, allow_nan=False))
    else:
        console().print(to_rich(run))
        click.echo(page)
    if show:
        webbrowser.open(page.resolve().as_uri())
