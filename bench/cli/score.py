"""``bench score``: metrics of rendered frames against their ground truth."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON, CommaList, console, emit
from bench.errors import AbsentError, InvalidResultError
from bench.metrics import METRICS, MetricResult

_FRAMES = click.Path(exists=True, path_type=Path)


@click.command("score")
@click.argument("pred", type=_FRAMES)
@click.argument("gt", type=_FRAMES, required=False)
@click.option("--subject", help="A subject's name or folder: regions, and the ground truth where GT isn't given.")
@click.option("--protocol", default="neutral", show_default=True, help="The rules (bench protocols list).")
@click.option("--detector", metavar="fan|mediapipe|dlib", help="Landmarks for LMD.  [default: the protocol's]")
@click.option("--metrics", "names", type=CommaList(), help="Metrics to compute.  [default: the protocol's]")
@click.option(
    "--sound",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sound of the frames.  [default: the subject's, or that of GT]",
)
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda", help="Where networks run.")
@JSON
@click.pass_context
def command(
    ctx: click.Context, pred: Path, gt: Path | None, subject: str | None, protocol: str, detector: str | None,
    names: list[str] | None, sound: Path | None, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Score PRED against GT: video files, or folders of images named by frame id.

    With --subject, GT may be left out: the protocol says which of the subject's pictures is the ground truth.
    """
    from bench.scoring import score

    with _Bar() as bar:
        results = score(
            pred, gt, subject=subject, protocol=protocol, metrics=names, detector=detector, device=device,
            sound=sound, progress=bar.step,
        )  # fmt: skip
    if as_json:
        emit({"metrics": {name: result.as_json() for name, result in results.items()}})
    else:
        _print_table(results)
    ctx.exit(_exit_code(results))


def _exit_code(results: dict[str, MetricResult]) -> int:
    """Not 0 if a number is missing, though the others were printed (so it can't be an exception); says why on stderr."""
    for state, error in (("invalid", InvalidResultError), ("absent", AbsentError)):
        for result in results.values():
            if result.state == state:
                click.echo(f"error: {result.name} is {state}: {result.reason}", err=True)
                return error.exit_code
    return 0


class _Bar:
    """A bar on stderr, only where someone is watching."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import Progress

        stderr = Console(stderr=True)
        self._bar = Progress(console=stderr, transient=True, disable=not stderr.is_terminal)
        self._task = self._bar.add_task("scoring", total=None)
        self._bar.start()
        return self

    def step(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _print_table(results: dict[str, MetricResult]) -> None:
    from rich.table import Table

    regions = list(dict.fromkeys(region for result in results.values() for region in result.regions))
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for column in ("value", "95 %", "unit", "n", *regions):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for result in results.values():
        label = METRICS[result.name].label + (" ↑" if result.higher_is_better else " ↓")
        interval = f"{result.ci95[0]:.4f} – {result.ci95[1]:.4f}" if result.ci95 else ""
        parts = [_value(result.regions[region]) if region in result.regions else "" for region in regions]
        table.add_row(
            label, _value(result), interval, result.unit.replace("1", ""), f"{result.n[0]}/{result.n[1]}", *parts
        )
    console().print(table)
    for result in results.values():
        click.echo(str(result.signature or f"{result.name}: {result.reason}"))  # in one line each: they get copied
        if result.signature and result.reason:
            click.echo(f"{result.name}: {result.reason}")
        if result.state == "ok" and result.n_identical:
            click.echo(f"{result.name}: {result.n_identical} identical frames are left out of the mean")


def _value(result: MetricResult) -> str:
    return result.state if result.value is None else f"{result.value:.4f}"
