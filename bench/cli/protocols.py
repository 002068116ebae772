"""``bench protocols``: under which rules numbers are taken, and how far rules alone move them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bench.cli.group import LazyGroup
from bench.cli.output import JSON, console, emit

if TYPE_CHECKING:
    from bench.protocol.definitions import Definition

_DIGITS = {"PSNR": 2, "SSIM": 4, "LMD": 3}
_UNITS = {"PSNR": "dB", "SSIM": "", "LMD": "px"}


@click.command("protocols", cls=LazyGroup, verbs={})
def command() -> None:
    """Protocols: what is measured, and how."""


@command.command("list")
@JSON
def list_protocols(as_json: bool) -> None:
    """List the protocols."""
    from bench import protocol

    found = [protocol.get(name) for name in protocol.names()]
    if as_json:
        emit({"protocols": [{"name": p.name, "id": p.id, "title": p.title, "summary": p.summary} for p in found]})
        return
    table = _table("name", "summary")
    for p in found:
        table.add_row(f"[bold]{p.name}[/bold]", p.summary)
    console().print(table)


@command.command("show")
@click.argument("name")
@JSON
def show(name: str, as_json: bool) -> None:
    """Show every rule of protocol NAME, and where it can't be what the official script does."""
    from bench import protocol
    from bench.protocol.text import rules

    found = protocol.get(name)
    if as_json:
        emit(found.model_dump(mode="json") | {"id": found.id, "rules": rules(found)})
        return
    out = console()
    out.print(f"[bold]{found.name}[/bold]  version {found.version}  {found.title}")
    out.print(f"{found.summary}\nSource: {found.source}\n", markup=False)
    table = _table("rule", "")
    for rule, words in rules(found).items():
        table.add_row(rule, words)
    out.print(table)
    if found.differs:
        out.print("\nUnlike the official script:")
        for line in found.differs:
            out.print(f"- {line}", markup=False)


@command.command("diff")
@click.argument("a")
@click.argument("b")
@JSON
def diff(a: str, b: str, as_json: bool) -> None:
    """Show rule by rule what changes from protocol A to protocol B."""
    from dataclasses import asdict

    from bench import protocol
    from bench.protocol.text import differences

    left, right = protocol.get(a), protocol.get(b)
    changes = differences(left, right)
    if as_json:
        emit({"a": left.id, "b": right.id, "changes": [asdict(change) for change in changes]})
        return
    if not changes:
        console().print(f"{left.name} and {right.name} have the same rules")
        return
    table = _table("rule", left.name, right.name)
    for change in changes:
        table.add_row(change.rule, change.a, change.b)
    console().print(table)


@command.command("demo")
@click.option("--subject", default="ada", show_default=True, help="A subject's name or folder.")
@click.option("--frames", type=click.IntRange(1), default=30, show_default=True, help="Its first test frames.")
@click.option("--detector", default="mediapipe", show_default=True, metavar="fan|mediapipe|dlib", help="For LMD.")
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
@JSON
def demo(subject: str, frames: int, detector: str, markdown: bool, as_json: bool) -> None:
    """Take one pair of videos through every definition of PSNR, SSIM and LMD found in the field's code.

    The prediction is the ground truth, blurred and noised: only the differences between rows mean anything.
    """
    from bench import catalogue, landmarks
    from bench.protocol import definitions

    pair = definitions.sample(catalogue.resolve(subject), frames, landmarks.get(detector))
    rows = definitions.table(pair)
    if as_json:
        emit({"subject": subject, "frames": len(pair.gt), "detector": detector, "rows": [_row(*row) for row in rows]})
    elif markdown:
        click.echo("| metric | definition | value | as in |\n|---|---|---:|---|")
        for d, value in rows:
            click.echo(f"| {d.metric} | {d.name} | {_shown(d, value)} | {d.source} |")
    else:
        table = _table("metric", "definition", "value", "as in")
        table.columns[2].justify = "right"
        for d, value in rows:
            table.add_row(d.metric, d.name, _shown(d, value), d.source)
        console().print(table)


def _row(definition: Definition, value: float) -> dict[str, Any]:
    return {
        "metric": definition.metric, "definition": definition.name, "value": value, "unit": _UNITS[definition.metric],
        "source": definition.source,
    }  # fmt: skip


def _shown(definition: Definition, value: float) -> str:
    return f"{value:.{_DIGITS[definition.metric]}f} {_UNITS[definition.metric]}".strip()


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
