"""``bench methods check``: does a method keep the contract?"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from bench.cli.output import JSON, console, emit
from bench.contract import PRESETS

_MARKS = {"ok": "[green]✓[/green]", "failed": "[red]✗[/red]", "skipped": "[dim]–[/dim]"}


@click.command("check")
@click.argument("name")
@click.option("--subject", default="tiny", show_default=True, help="What to try it on: a name or a folder.")
@click.option("--preset", type=click.Choice(PRESETS), default="quick", show_default=True, help="How long to train.")
@JSON
def command(name: str, subject: str, preset: str, as_json: bool) -> None:
    """Run the contract's conformance checks on the method NAME (also NAME[-E], NAME@docker).

    It is trained three times on a small subject. Exit code 1 if a check doesn't hold.
    """
    from rich.markup import escape

    from bench import catalogue, registry, system
    from bench.conformance import run
    from bench.conformance.trial import Trial
    from bench.run.plan import parse_choice

    choice = parse_choice(name)
    method = registry.get(choice.name, choice.variant, choice.backend)
    device = "cpu"
    if choice.backend != "native":
        program = registry.program(choice.name, choice.backend)
        device = system.pick_device("auto") if program.spec.image and program.spec.image.gpu else "cpu"
        program.require(device)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        for outcome in run(Trial(name, method, catalogue.resolve(subject), preset, Path(folder), device)):
            outcomes.append(outcome)
            if not as_json:
                console().print(
                    f"{_MARKS[outcome.state]} {outcome.check}: {escape(outcome.detail)}",
                    soft_wrap=True,
                    highlight=False,
                )
    if as_json:
        emit({"method": name, "checks": [asdict(outcome) for outcome in outcomes]})
    click.get_current_context().exit(1 if any(outcome.state == "failed" for outcome in outcomes) else 0)
