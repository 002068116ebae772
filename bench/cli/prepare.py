"""``bench data prepare``: a video → a subject folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import UsageError
from bench.paths import home

if TYPE_CHECKING:
    from rich.console import Console

    from bench.prepare import Done
    from bench.prepare.steps import Track

_FILE = click.Path(path_type=Path)


@contextmanager
def _bars(console: Console) -> Iterator[Track[Any]]:
    """Progress bars on stderr; each goes away when its step ends."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:

        def track(items: Iterable[Any], what: str, total: int | None) -> Iterable[Any]:
            task = progress.add_task(what, total=total)
            yield from progress.track(items, task_id=task)
            progress.remove_task(task)

        yield track


def _as_json(out: Path, done: list[Done]) -> str:
    facts = {key: value for step in done for key, value in step.made.facts.items()}
    steps = [{"step": d.name, "seconds": round(d.seconds, 2), "kept": d.kept, "summary": d.made.summary} for d in done]
    return json.dumps({"subject": str(out), **facts, "steps": steps}, indent=1, ensure_ascii=False)


@click.command("prepare")
@click.argument("video", type=_FILE)
@click.option("--name", required=True, help="Name of the subject.")
@click.option("--out", type=_FILE, help="Subject folder; default: subjects/NAME in the cache folder.")
@click.option(
    "--size", type=click.IntRange(min=0), help="Width of the frames; default: up to 512, never enlarged; 0: as it is."
)
@click.option("--fps", type=int, default=25, show_default=True, help="Frames a second; the field's formats have 25.")
@click.option(
    "--crop",
    type=click.Choice(["auto", "none"]),
    default="auto",
    show_default=True,
    help="The square around head and shoulders, or the whole picture.",
)
@click.option("--poses", type=_FILE, help="AD-NeRF's track_params.pt or a transforms.json; default: own tracking.")
@click.option(
    "--focal",
    type=click.FloatRange(min=1),
    help="Focal length in pixels of the video, not of the crop; default: the poses file's or found.",
)
@click.option(
    "--focal-at",
    type=click.FloatRange(min=1),
    help="Width of the whole picture it belongs to; default: the video's, with --poses 450 or 2·cx of the JSON.",
)
@click.option(
    "--parser", type=_FILE, help="Face parser: auto (the best that is here), mesh (offline), or a model file."
)
@click.option("--au", type=_FILE, help="OpenFace's csv of the video; default: coarse units from the face mesh.")
@click.option("--coefficients", type=_FILE, help="SMIRK's 3dmm.pt; default: blendshapes, or the face mesh.")
@click.option("--features", type=_FILE, help="Audio features (aud_ds.npy and the like); default: log-mel.")
@click.option("--background", type=_FILE, help="Picture of the empty scene; default: estimated from the frames.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(video: Path, name: str, out: Path | None, fps: int, as_json: bool, **options: Any) -> None:
    """Turn VIDEO of one speaking person into a subject folder. Run again, it goes on where it stopped.

    prepare.html in the folder shows what each step made; look at it.
    """
    if fps != 25:
        raise UsageError(f"--fps {fps}: the audio windows of the field's methods are made for 25; leave --fps out")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UsageError(f"--name {name!r}: letters, digits, - and _ only")
    from rich.console import Console

    from bench.prepare import Options, prepare

    console = Console(stderr=True)

    def tell(done: Done) -> None:
        time = "kept" if done.kept else f"{done.seconds:.1f} s"
        console.print(f"{done.name:12} {time:>8}  {done.made.summary}", highlight=False, markup=False, soft_wrap=True)

    folder = out or home() / "subjects" / name
    with _bars(console) as track:
        done = prepare(Options(video, name, folder, **options), track, tell)
    click.echo(_as_json(folder, done) if as_json else str(folder))
