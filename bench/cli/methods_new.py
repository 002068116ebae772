"""``bench methods new``: a method that runs as it stands."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON, emit


@click.command("new")
@click.argument("name")
@click.option("--container", is_flag=True, help="A program in a container, described by one TOML, instead of Python.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to make.  [default: NAME]")
@JSON
def command(name: str, container: bool, out: Path | None, as_json: bool) -> None:
    """Write a new method NAME that runs as it stands, to be changed into your own (docs/tutorial.md)."""
    from bench.scaffold import create

    folder = out or Path(name)
    files = create(name, folder, container)
    if as_json:
        emit({"folder": str(folder), "files": [path.name for path in files]})
        return
    for path in files:
        click.echo(str(path))
    click.echo("next:")
    for line in _next(name, folder, container):
        click.echo(f"  {line}")


def _next(name: str, folder: Path, container: bool) -> list[str]:
    if container:
        found = f"export BENCH_METHODS={folder.absolute()}"
        return [found, f"bench methods build {name}@docker", f"bench methods check {name}@docker"]
    return [f"pip install --no-deps --no-build-isolation -e {folder}", f"bench methods check {name}"]
