"""``bench data export``: a subject as a method's official code reads it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from bench import catalogue
from bench.cli.output import JSON, emit
from bench.cli.progress import counting


@click.command("export")
@click.argument("subject")
@click.option(
    "--format",
    "form",
    required=True,
    metavar="FORMAT",
    help="ad-nerf, rad-nerf, er-nerf, synctalk, talkinggaussian or degstalk.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make; must not be there.")
@click.option("--partial", is_flag=True, help="Leave out needed files that can't be made.")
@click.option("--link", is_flag=True, help="Link files that stay as they are, instead of copying them.")
@JSON
def command(subject: str, form: str, out: Path, partial: bool, link: bool, as_json: bool) -> None:
    """Write SUBJECT (a name or a folder) as the folder that a method's official code reads.

    What can't be made (DeepSpeech's features without its model, SMIRK's coefficients, …) is named with what makes it, and
    refused if that code stops without it.
    """
    from bench import formats
    from bench.formats.export import export

    layout = formats.get(form)
    found = catalogue.resolve(subject)
    with counting(f"writing {layout.title}'s folder") as tell:
        made = export(found, layout, out, partial=partial, link=link, tell=tell)
    if as_json:
        lacks = [asdict(lack) for lack in made.lacks]
        emit({"folder": str(made.folder), "format": layout.name, "files": list(made.files), "missing": lacks})
        return
    for lack in made.lacks:
        click.echo(f"{'missing' if lack.needed else 'left out'}: {lack.files}: {lack.why}", err=True)
    click.echo(str(made.folder))
