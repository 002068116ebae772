"""``bench data``: the subjects there are, what is in one, and how to get, make, check, look at and convert one."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from bench import catalogue
from bench.cli.group import LazyGroup, Verb
from bench.cli.output import JSON, console, emit
from bench.subject import Subject

_LAZY = {
    "fetch": Verb("bench.cli.data_fetch", "Download a subject's video, or show how to get it."),
    "prepare": Verb("bench.cli.prepare", "Make a subject folder from a video."),
    "verify": Verb("bench.cli.data_verify", "Check a subject: files, masks, poses, sound, split."),
    "view": Verb("bench.cli.data_view", "Write a page that shows a subject."),
    "import": Verb("bench.cli.data_import", "Make a subject from a folder of a method's own scripts."),
    "export": Verb("bench.cli.data_export", "Write a subject as a method's official code reads it."),
    "synth": Verb("bench.cli.synth", "Make a synthetic subject with exact truth."),
}

_ORIGIN = {"card": "to be fetched"}


@click.command("data", cls=LazyGroup, verbs=_LAZY)
def command() -> None:
    """Subjects: list, get, make, check, show, convert."""


@command.command("list")
@JSON
def list_subjects(as_json: bool) -> None:
    """List the subjects that can be named in --subjects."""
    rows = subject_rows()
    if as_json:
        emit({"subjects": rows})
    else:
        console().print(subjects_table(rows))


@command.command("info")
@click.argument("subject")
@JSON
def info(subject: str, as_json: bool) -> None:
    """Show a subject (a name or a folder): size, split, features, licence; of one to be fetched, its card."""
    entry = catalogue.entries().get(subject)
    if entry and entry.origin == "card":
        found = _card(entry)
    else:
        found = describe(catalogue.resolve(subject))
        if entry and entry.origin == "prepared" and entry.card:
            found["card"] = _card(entry)
    if as_json:
        emit(found)
    else:
        console().print(_sheet(found))


def _card(entry: catalogue.Entry) -> dict[str, Any]:
    """A card in JSON values, with the command that gets the subject."""
    from bench import cards

    return {**entry.card, "how": cards.all_cards()[entry.name].get_it}


def _sheet(found: dict[str, Any]) -> Table:
    from rich.markup import escape

    view = Table(box=None, show_header=False, pad_edge=False)
    view.add_column(style="bold")
    view.add_column(overflow="fold")
    for key, value in found.items():
        if key == "size" and not isinstance(value, str):
            text = f"{value[0]}×{value[1]}"
        elif isinstance(value, dict):
            text = "\n".join(f"{name}: {words}" for name, words in value.items())
        elif isinstance(value, list | tuple):
            text = "\n".join(map(str, value))
        else:
            text = str(value)
        if value not in (None, "", []):
            view.add_row(key.replace("_", " "), escape(text))
    return view


def describe(subject: Subject) -> dict[str, Any]:
    """A subject in JSON values."""
    has_expression = any((subject.root / name).exists() for name in ("coefficients.npz", "3dmm.pt"))
    kind = subject.coefficients.kind if has_expression else None
    return {
        "name": subject.name,
        "title": subject.meta.get("title", ""),
        "size": list(subject.size),
        "fps": subject.fps,
        "train_frames": len(subject.train_ids),
        "test_frames": len(subject.test_ids),
        "audio": subject.audio_kind,
        "expression": kind and f"{kind}, {subject.coefficients.expression.shape[1]} wide",
        "licence": subject.meta.get("licence", ""),
        "source": subject.meta.get("source", ""),
        "language": subject.meta.get("language", ""),
        "folder": str(subject.root),
    }


def subject_rows() -> list[dict[str, Any]]:
    """Every named subject, without opening any."""
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "origin": _ORIGIN.get(entry.origin, entry.origin),
            "licence": str(entry.card.get("licence", "")),
            "for_tests": entry.for_tests,
        }
        for entry in catalogue.entries().values()
    ]


def subjects_table(rows: list[dict[str, Any]]) -> Table:
    """The rows for people."""
    from rich.markup import escape

    view = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("subject", "origin", "licence", "what"):
        view.add_column(title, overflow="fold")
    for row in rows:
        what = row["title"] + (" (for tests)" if row["for_tests"] else "")
        view.add_row(*map(escape, (row["name"], row["origin"], row["licence"], what)))
    return view
