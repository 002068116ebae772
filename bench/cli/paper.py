"""``bench paper``: what a paper needs of a run."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON, emit


@click.command("paper")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the kit.")
@click.option("--pdf", is_flag=True, help="Also compile main.pdf (needs tectonic, or pdflatex and bibtex).")
@JSON
def command(run: Path, out: Path, pdf: bool, as_json: bool) -> None:
    """Write RUN as LaTeX tables, figures, an evaluation paragraph and a bibliography that compile as they are.

    Tables also as CSV and JSON. Frames and crops in figures are chosen by a rule that the caption states.
    """
    from bench.paper import build
    from bench.paper.compile import compile_pdf, engine

    if pdf:
        engine()  # or it isn't worth the work
    kit = build(run, out)
    files = [str(out / name) for name in kit.files]
    if pdf:
        files.append(str(compile_pdf(out)))
    if as_json:
        emit({"out": str(out), "files": files, "missing": kit.notes})
        return
    for note in kit.notes:
        click.echo(f"not there: {note}", err=True)
    for file in files:
        click.echo(file)
