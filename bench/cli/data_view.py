"""``bench data view``: a page that shows a subject."""

from __future__ import annotations

from pathlib import Path

import click

from bench import catalogue
from bench.cli.output import JSON, emit
from bench.cli.progress import counting


@click.command("view")
@click.argument("subject")
@click.option("--out", type=click.Path(path_type=Path), help="The page; default: NAME.html here.")
@JSON
def command(subject: str, out: Path | None, as_json: bool) -> None:
    """Write a page that shows SUBJECT (a name or a folder): frames with masks, landmarks and axes, curves, checks.

    One file with everything in it: it needs no network and no server.
    """
    found = catalogue.resolve(subject)
    from bench import checks, view
    from bench.paths import write_text

    with counting(f"reading {found.name}") as tell:
        survey = checks.survey(found, tell)
    page = out or Path(f"{found.name}.html")
    write_text(page, view.render(survey, checks.run(survey)))
    if as_json:
        emit({"subject": found.name, "page": str(page)})
    else:
        click.echo(str(page))
