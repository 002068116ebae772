"""``bench inspect``: what a checkpoint holds, as pictures, tables and files for viewers."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.notes import noted
from bench.cli.output import JSON, CommaList, emit


@click.command("inspect")
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--frame", "--frames", "frames", type=CommaList(int), default="", metavar="A,B",
    help="Test frames to draw, by id.  [default: three, spread over the test split]",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the page.  [default: inspection/ beside checkpoint/]"
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where it is drawn."
)
@click.option("--method", default="", metavar="NAME[VARIANT]", help="What a checkpoint outside a run was trained as.")
@click.option("--subject", default="", metavar="NAME|FOLDER", help="Subject, where it isn't the cell's own as it was.")
@JSON
def command(
    checkpoint: Path, frames: list[int], out: Path | None, device: str, method: str, subject: str, as_json: bool
) -> None:
    """Look into CHECKPOINT, a cell's folder of a run (RUN/cells/CELL) or a checkpoint folder.

    Writes index.html with pictures (maps of test frames, the Gaussians' sizes, embedding), inspect.json with the numbers,
    and PLY files for viewers of 3-d Gaussians.
    """
    from bench import system
    from bench.checkpoints import open_checkpoint
    from bench.inspection import PAGE, check, chosen_frames, inspect

    with noted() as notes:
        opened = open_checkpoint(checkpoint, method=method, subject=subject)
        place = out or opened.checkpoint.resolve().parent / _folder(opened.checkpoint)
        ids = chosen_frames(opened, frames)
        check(opened, place)
        document = inspect(opened, ids, system.pick_device(device), place)
    if as_json:
        emit(document | {"out": str(place), "page": str(place / PAGE), "warnings": notes})
    else:
        click.echo(place / PAGE)


def _folder(checkpoint: Path) -> str:
    return "inspection" if checkpoint.name == "checkpoint" else f"{checkpoint.resolve().name}-inspection"
