"""``bench protocols``: under which rules numbers are taken."""

from __future__ import annotations

import click

from bench.cli.group import LazyGroup
from bench.cli.output import JSON, console, emit

PROTOCOLS = {
    "neutral": "Every test frame of the subject's own split, lossless 8-bit frames as the method delivers them, whole frame, "
    "mean over frames; face and mouth beside it."
}
"""Protocols by name."""


@click.command("protocols", cls=LazyGroup, verbs={})
def command() -> None:
    """Protocols: what is measured, and how."""


@command.command("list")
@JSON
def list_protocols(as_json: bool) -> None:
    """List the protocols."""
    if as_json:
        emit({"protocols": [{"name": name, "summary": summary} for name, summary in PROTOCOLS.items()]})
        return
    for name, summary in PROTOCOLS.items():
        console().print(f"[bold]{name}[/bold]  {summary}")
