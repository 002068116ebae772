"""``bench methods``: what there is and what each method sees; further verbs are modules of their own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from bench import registry
from bench.cli.group import LazyGroup, Verb
from bench.cli.output import JSON, console, emit
from bench.contract import MethodInfo
from bench.errors import BenchError
from bench.seeable import SEEABLE

_VERBS = {
    "new": Verb("bench.cli.methods_new", "Write a new method that runs as it stands."),
    "check": Verb("bench.cli.methods_check", "Does a method keep the contract?"),
    "build": Verb("bench.cli.methods_build", "Build the image of a method that is a container."),
    "shell": Verb("bench.cli.methods_shell", "Open a shell in such an image."),
}


@click.command("methods", cls=LazyGroup, verbs=_VERBS)
def command() -> None:
    """Methods: plugins (entry-point group bench.methods) and programs (docs/docker.md)."""


@command.command("list")
@JSON
def list_methods(as_json: bool) -> None:
    """List the methods."""
    rows = method_rows()
    if as_json:
        emit({"methods": rows})
    else:
        console().print(methods_table(rows))


@command.command("info")
@click.argument("name")
@JSON
def info(name: str, as_json: bool) -> None:
    """Show a method, a variant of it (NAME[-E]) or a program (NAME@official): paper, licence, presets, what it sees of a test frame."""
    from bench.run.plan import parse_choice

    choice = parse_choice(name)
    found = registry.info(choice.name, choice.variant, choice.backend)
    if as_json:
        emit(as_row(found))
        return
    view = Table(box=None, show_header=False, pad_edge=False)
    view.add_column(style="bold")
    view.add_column(overflow="fold")
    for key in (
        "name",
        "title",
        "summary",
        "kind",
        "canvas",
        "paper",
        "year",
        "licence",
        "original_licence",
        "backend",
    ):
        if value := getattr(found, key):
            view.add_row(key.replace("_", " "), str(value))
    view.add_row("presets", ", ".join(found.presets))
    view.add_row("sees", "\n".join(f"{key}: {SEEABLE[key]}" for key in sorted(found.sees)) or "nothing of a test frame")
    for title, known, sign in (("factors", found.factors, "-"), ("readings", found.readings, "")):
        if known:
            view.add_row(title, "\n".join(f"{found.name}\\[{sign}{key}]: {text}" for key, text in known.items()))
    if found.published:
        view.add_row("published", ", ".join(f"{key} {value:g}" for key, value in found.published.items()))
    console().print(view)


def as_row(found: MethodInfo) -> dict[str, Any]:
    """A method's description as JSON values."""
    return asdict(found) | {
        "sees": sorted(found.sees),
        "shrinks": sorted(found.shrinks),
        "presets": list(found.presets),
    }


def method_rows() -> list[dict[str, Any]]:
    """Every method; one that can't be loaded has only ``name`` and ``error``. A program is called NAME@BACKEND."""
    rows = []
    for name in registry.names():
        try:
            rows.append(as_row(registry.info(name)))
        except BenchError as error:
            rows.append({"name": name, "error": str(error)})
    programs, broken = registry.programs()
    rows += [as_row(one.info) | {"name": one.label} for one in programs]
    return rows + [{"name": "?", "error": str(error)} for error in broken]


def methods_table(rows: list[dict[str, Any]]) -> Table:
    """The rows for people."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("method", "kind", "year", "sees of a test frame", "summary"):
        view.add_column(title, overflow="fold")
    for row in sorted(rows, key=lambda row: (row.get("kind") == "reference", row["name"])):
        if error := row.get("error"):
            view.add_row(row["name"], "[red]broken[/red]", "", "", error)
        else:
            view.add_row(
                row["name"], row["kind"], str(row["year"] or ""), ", ".join(row["sees"]) or "–", row["summary"]
            )
    return view
