"""``bench data fetch``: a card's video."""

from __future__ import annotations

import click

from bench import cards, catalogue
from bench.cli.output import JSON, emit
from bench.errors import UsageError, unknown


@click.command("fetch")
@click.argument("name")
@click.option("--prepare", "prepare_it", is_flag=True, help="Then make the subject, as `bench data prepare` does.")
@JSON
def command(name: str, prepare_it: bool, as_json: bool) -> None:
    """Download the video of the subject NAME, or show how to get it by hand (exit code 1)."""
    known = cards.all_cards()
    if name not in known:
        if name in catalogue.entries():
            raise UsageError(f"{name} is here already: nothing is to be fetched")
        raise unknown("card", name, known)
    card = known[name]
    video, digest = _fetch(card)
    checked = "as the card says" if card.sha256 != cards.UNKNOWN else "the card knows none to compare it with"
    click.echo(f"{video}: sha256 {digest}, {checked}", err=True)
    if prepare_it:
        from bench.cli import prepare

        options = [str(video), "--name", name, *card.prepare, *(["--json"] if as_json else [])]
        prepare.command.main(args=options, prog_name="bench data prepare", standalone_mode=False)
    elif as_json:
        emit(
            {"name": name, "video": str(video), "sha256": digest, "known_sha256": card.sha256, "next": card.prepare_it}
        )
    else:
        click.echo(card.prepare_it)


def _fetch(card: cards.Card) -> tuple[object, str]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(card.file, total=None)
        return cards.fetch(card, lambda done, total: bars.update(task, completed=done, total=total))
