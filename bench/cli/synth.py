"""``bench data synth``: a synthetic talking head, made by the recipe that made the embedded subjects."""

from __future__ import annotations

import re
from pathlib import Path

import click

from bench import catalogue, paths
from bench.cli.output import JSON, emit
from bench.errors import UsageError


@click.command("synth")
@click.argument("name")
@click.option(
    "--size", type=click.IntRange(64, 1024), default=256, show_default=True, help="Width and height in pixels."
)
@click.option("--seconds", type=click.FloatRange(1, 600), default=12.0, show_default=True, help="Length.")
@click.option("--seed", type=int, help="Draws looks, voice and sentences; needed for a new NAME.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Subject folder.  [default: subjects/NAME in the cache folder]"
)
@JSON
def command(name: str, size: int, seconds: float, seed: int | None, out: Path | None, as_json: bool) -> None:
    """Make the subject NAME (needs the extra talkbench[synth])."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bench import synth

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UsageError(f"NAME {name!r}: letters, digits, - and _ only")
    known = catalogue.entries().get(name)
    if out is None and known and known.origin == "embedded":
        raise UsageError(f"{name!r} is an embedded subject: say with --out where to make it anew")
    folder = out or paths.home() / "subjects" / name
    if folder.exists():
        raise UsageError(f"{folder} exists: remove it, or use another --out")
    bars = Progress(
        TextColumn(f"making {name}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bars:
        task = bars.add_task(name, total=None)
        synth.make(
            name, folder, size=size, seconds=seconds, seed=seed,
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )  # fmt: skip
    if as_json:
        emit({"subject": name, "folder": str(folder)})
    else:
        click.echo(f"{name} is in {folder}")
