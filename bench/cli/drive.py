"""``bench drive``: a trained method speaks another sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.notes import noted
from bench.cli.output import JSON, emit
from bench.cli.progress import counting

if TYPE_CHECKING:
    from bench.checkpoints import Opened

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("drive")
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--audio", type=_FILE, required=True, help="Sound, or a video's, in any format and rate that FFmpeg reads."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The video, an .mp4.")
@click.option(
    "--poses", type=click.Choice(["train", "test", "loop"]), default="loop", show_default=True,
    help="Which frames of the subject give head, expression and canvas: those of a split in order, or all to and fro.",
)  # fmt: skip
@click.option(
    "--start",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Where in the sound to begin.  [default: 0]",
)
@click.option(
    "--features", type=_FILE, metavar="FILE.npy",
    help="The sound's features, where the checkpoint was trained with DeepSpeech's or HuBERT's.",
)  # fmt: skip
@click.option("--method", default="", metavar="NAME[VARIANT]", help="What a checkpoint outside a run was trained as.")
@click.option("--subject", default="", metavar="NAME|FOLDER", help="Subject, where it isn't the cell's own as it was.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where it renders."
)
@click.option("--force", is_flag=True, help="Replace an --out that exists.")
@JSON
def command(checkpoint: Path, method: str, subject: str, device: str, as_json: bool, **wanted: Any) -> None:
    """Let CHECKPOINT speak another sound: a cell's folder of a run (RUN/cells/CELL) or a checkpoint folder.

    The video lasts as long as the sound, in whole frames. With --poses train or test it ends, sound too, when the split's frames
    end, and says so; loop goes through all frames and back without end.

    A method that sees expression coefficients or other traces of the driving frames' mouth follows these, too: a line tells.
    Rules in docs/drive.md.
    """
    from bench import system
    from bench.checkpoints import open_checkpoint
    from bench.drive import Order, check, drive

    order = Order(**wanted)
    check(order)
    with noted() as notes:
        opened = open_checkpoint(checkpoint, method=method, subject=subject)
        with counting("frames") as progress:
            document = drive(opened, order, system.pick_device(device), progress)
    if as_json:
        emit(document | _made_by(opened, method) | {"warnings": notes})
    else:
        click.echo(order.out)


def _made_by(opened: Opened, asked: str) -> dict[str, str | None]:
    from bench.run.plan import parse_choice

    variant = opened.key.variant if opened.key else parse_choice(asked).variant
    return {"method": opened.method.info.name, "variant": variant, "cell": opened.key.name if opened.key else None}
