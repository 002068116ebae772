"""``bench compare``: what changed from one run to another."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import JSON, emit, print_parts

_RUN = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("compare")
@click.argument("run_a", type=_RUN)
@click.argument("run_b", type=_RUN)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the page.  [default: RUN_B/report/compare/<name of A>.html]",
)
@JSON
def command(run_a: Path, run_b: Path, out: Path | None, as_json: bool) -> None:
    """Say how RUN_B differs from RUN_A, with paired 95 % intervals.

    Compared is what both have: the same method, variant, backend, subject and seed, and the same preset where a run has several.
    A measure that was taken in another way, or on a subject prepared otherwise, is named and not compared. Writes a page, too.
    For a verdict with an exit code: `bench check`.
    """
    from bench.report.comparison import compare_runs
    from bench.report.comparison_text import build, to_rich, to_values

    found = compare_runs(run_a, run_b)
    page = build(found, out)
    if as_json:
        emit(to_values(found) | {"page": str(page)})
        return
    print_parts(to_rich(found))
    click.echo(page)
