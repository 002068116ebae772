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
@click.argument("gt", type=_FRAMES)
@click.option(
    "--detector", default="mediapipe", show_default=True, metavar="fan|mediapipe|dlib", help="Landmarks for LMD."
)
@click.option("--metrics", "names", type=CommaList(), help=f"Metrics to compute.  [default: {','.join(METRICS)}]")
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda", help="Where networks run.")
@JSON
@click.pass_context
def command(
    ctx: click.Context, pred: Path, gt: Path, detector: str, names: list[str] | None, device: str, as_json: bool
) -> None:
    """Score PRED against GT: video files, or folders of images named by frame id."""
    from bench.scoring import score

    with _Bar() as bar:
        results = score(pred, gt, metrics=names, detector=detector, device=device, progress=bar.step)
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

    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for column in ("value", "unit", "n"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for result in results.values():
        label = METRICS[result.name].label + (" ↑" if result.higher_is_better else " ↓")
        value = result.state if result.value is None else f"{result.value:.4f}"
        table.add_row(label, value, result.unit.replace("1", ""), f"{result.n[0]}/{result.n[1]}")
    console().print(table)
    for result in results.values():
        click.echo(str(result.signature or f"{result.name}: {result.reason}"))  # in one line each: they get copied
        if result.state == "ok" and result.n_identical:
            click.echo(f"{result.name}: {result.n_identical} identical frames are left out of the mean")
