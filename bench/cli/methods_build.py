"""``bench methods build``: the image of a method that is a container."""

from __future__ import annotations

import click

from bench.cli.containers import container
from bench.cli.output import JSON, emit


@click.command("build")
@click.argument("name")
@click.option("--again", is_flag=True, help="Build it even if it is there; the engine keeps the layers it has.")
@JSON
def command(name: str, again: bool, as_json: bool) -> None:
    """Build the image of NAME (such as er-nerf@official), if it isn't there."""
    from bench.containers import engine, image

    found = container(name)
    if found.spec.notice:
        click.echo(f"notice: {found.spec.notice}", err=True)
    tag = image.build(engine.connect(), found, lambda line: click.echo(line, err=True), again=again)
    if as_json:
        emit({"image": tag})
    else:
        click.echo(tag)
