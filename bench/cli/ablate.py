"""``bench ablate``: a method, and itself without each of its factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bench.cli.cells import carry_out, leave
from bench.cli.output import CommaList, console, emit, print_parts, together
from bench.cli.run_options import Options, run_options

if TYPE_CHECKING:
    from bench.cli.cells import Finished
    from bench.report.ablation import Ablation


@click.command("ablate")
@click.argument("method")
@click.option(
    "--rows",
    type=CommaList(),
    default="",
    metavar="-E,-H",
    help="Variants, as they stand in brackets behind the method's name.  [default: without each of its factors]",
)
@run_options
def command(method: str, rows: list[str], **options: Any) -> None:
    """Run METHOD and its variants, and say what each of its factors is worth.

    Prints the ablation table, with the paper's numbers beside ours where METHOD's paper has one, then what changes without each
    factor, with paired 95 % intervals, and what is missing. Also written to report/ablation.md and ablation.json of the run
    folder, and into its report. `bench methods info METHOD` lists the factors. The same command goes on where it was stopped.
    """
    chosen = Options(**options)
    finished = carry_out(_methods(method, rows), chosen)
    if not finished:
        return
    _show(finished, method, chosen)
    leave(finished)


def _methods(method: str, rows: list[str]) -> list[str]:
    """The full method and its variants, as ``bench run`` would be asked for them."""
    from bench import registry
    from bench.errors import UsageError
    from bench.run.plan import parse_choice
    from bench.variants import parse_variant

    choice = parse_choice(method)
    if choice.variant:
        raise UsageError(f"{method}: name the method alone, and its variants with --rows={choice.variant}")
    info = registry.info(choice.name, "", choice.backend)
    if not info.factors:
        raise UsageError(
            f"method {choice.name!r} declares no factors, so there is nothing to leave out: `bench methods info NAME` lists "
            "those of a method"
        )
    variants = [parse_variant(row.strip("[] "), info) for row in rows or [f"-{factor}" for factor in info.factors]]
    if not any(variant.off for variant in variants):
        raise UsageError(
            f"--rows {','.join(rows)} leaves no factor out: name one or more, such as -{next(iter(info.factors))}"
        )
    return [method, *(f"{choice.name}[{variant}]" for variant in variants if variant)]


def _show(finished: list[Finished], method: str, chosen: Options) -> None:
    from bench.report.paper_text import ablation_rich, ablation_values

    pairs = [(run, _view(run, method, chosen.preset)) for run in finished]
    if chosen.as_json:
        emit(together([run.document() | {"ablation": ablation_values(view)} for run, view in pairs]))
        return
    for run, view in pairs:
        print_parts(ablation_rich(view, console().width))
        run.show_cells()


def _view(finished: Finished, method: str, preset: str) -> Ablation:
    views = finished.overview.ablations
    return next(view for view in views if (view.method, view.preset) == (method.strip(), preset))
