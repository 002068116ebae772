"""``bench data import``: a subject from a folder of a method's own scripts."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import click

from bench.cli.output import JSON, emit
from bench.errors import UsageError
from bench.paths import home


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the subject.")
@click.option(
    "--format", "form", default="auto", metavar="FORMAT", show_default=True,
    help="ad-nerf, rad-nerf, er-nerf, synctalk, talkinggaussian or degstalk; auto looks at the files.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), help="Subject folder; default: subjects/NAME in the cache folder."
)
@click.option("--partial", is_flag=True, help="Write what is there; the subject opens when the rest is added.")
@click.option("--link", is_flag=True, help="Link files that stay as they are, instead of copying them.")
@JSON
def command(folder: Path, name: str, form: str, out: Path | None, partial: bool, link: bool, as_json: bool) -> None:
    """Make a subject from FOLDER, which a method's own scripts made. FOLDER is only read."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UsageError(f"--name {name!r}: letters, digits, - and _ only")
    from bench import formats
    from bench.formats.bring import bring

    layout = formats.get(form) if form != "auto" else None
    layout = layout or formats.detect(folder)
    made = bring(folder, layout, name, out or home() / "subjects" / name, partial=partial, link=link)
    if as_json:
        lacks = [asdict(lack) for lack in made.lacks]
        document = {"subject": str(made.folder), "format": layout.name, "frames": made.frames}
        emit({**document, "missing": lacks, "notes": list(made.notes)})
        return
    click.echo(f"{layout.title}'s layout, {made.frames} frames", err=True)
    for lack in made.lacks:
        click.echo(f"{'missing' if lack.needed else 'left out'}: {lack.files}: {lack.why}", err=True)
    for note in made.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(str(made.folder))
