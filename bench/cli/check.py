"""``bench check``: has a method got worse than it was?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.output import JSON, emit, print_parts

if TYPE_CHECKING:
    from bench.regression import Outcome
    from bench.report.data import Run


class _Tolerance(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """``psnr=0.2`` → (measure, tolerance)."""

    name = "measure=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Split and convert; click's usage error where it doesn't fit."""
        if isinstance(value, tuple):
            return value
        measure, _, number = value.rpartition("=")
        try:
            return measure.strip(), float(number)
        except ValueError:
            self.fail(f"{value!r} is not MEASURE=NUMBER, such as psnr=0.2", param, ctx)


@click.command("check")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--baseline", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, metavar="FILE",
              help="What `bench baseline` printed of a good run.")  # fmt: skip
@click.option("--tolerance", type=_Tolerance(), multiple=True, metavar="MEASURE=X",
              help="How much worse a measure may get, in its unit; several times. Also judges a measure that isn't judged by "
              "default, such as psnr@mouth.  [default: psnr=0.2 psnr@face=0.2 ssim=0.005 lpips=0.005 lmd=0.05]")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a summary for a pull request, with pictures of the worst frames in FILE's folder.")  # fmt: skip
@click.option("--pictures-url", metavar="URL", help="Where those pictures will be found, if not beside FILE.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write JUnit XML.")
@JSON
def command(
    run: Path, baseline: Path, tolerance: tuple[tuple[str, float], ...], seed: int, markdown: Path | None,
    pictures_url: str | None, junit: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Compare RUN with a baseline, frame by frame.

    A method has regressed on a subject, or in its mean, if a measure got worse by more than its tolerance and the paired 95 %
    interval of the difference leaves 0 out. Ends with 0, 3 (regressed) or 4 (not comparable: a cell is missing, or was
    measured in another way or on other data). Times are not judged: they belong to the machine.
    """
    from bench.paths import write_text
    from bench.regression import Baseline, judge
    from bench.regression.junit import to_junit
    from bench.regression.summary import to_rich, to_values
    from bench.report.data import load

    loaded = load(run)
    outcome = judge(loaded, Baseline.load(baseline), dict(tolerance), seed)
    if markdown:
        write_text(markdown, _markdown(loaded, outcome, markdown, pictures_url))
    if junit:
        write_text(junit, to_junit(outcome))
    if as_json:
        emit(to_values(outcome))
    else:
        print_parts(to_rich(outcome))
    sys.exit(outcome.exit_code)


def _markdown(run: Run, outcome: Outcome, file: Path, url: str | None) -> str:
    """The summary; frames that can't be shown are no reason to withhold the verdict, and it says so."""
    from urllib.parse import quote

    from bench.errors import BenchError
    from bench.regression.summary import to_markdown
    from bench.regression.thumbnails import write_thumbnails

    folder = file.parent / f"{file.stem}-frames"
    base = url.rstrip("/") if url else quote(folder.name)
    try:
        found = write_thumbnails(run, outcome, folder)
    except BenchError as error:
        return to_markdown(outcome, note=f"no pictures: {error}")
    return to_markdown(outcome, {cell: f"{base}/{quote(path.name)}" for cell, path in found.items()})
