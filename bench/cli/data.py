"""``bench data``: the subjects there are, what is in one, and how to make one."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from bench import catalogue
from bench.cli.group import LazyGroup, Verb
from bench.cli.output import JSON, console, emit
from bench.subject import Subject

_LAZY = {
    "prepare": Verb("bench.cli.prepare", "Make a subject folder from a video."),
    "synth": Verb("bench.cli.synth", "Make a synthetic subject with exact truth."),
}


@click.command("data", cls=LazyGroup, verbs=_LAZY)
def command() -> None:
    """Subjects: list, show, check, make."""


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
    """Show a subject (a name or a folder): size, split, features, licence."""
    found = describe(catalogue.resolve(subject))
    if as_json:
        emit(found)
        return
    view = Table(box=None, show_header=False, pad_edge=False)
    view.add_column(style="bold")
    view.add_column(overflow="fold")
    for key, value in found.items():
        if value not in (None, ""):
            view.add_row(key.replace("_", " "), f"{value[0]}×{value[1]}" if key == "size" else str(value))
    console().print(view)


@command.command("verify")
@click.argument("subject")
@JSON
def verify(subject: str, as_json: bool) -> None:
    """Read every file of a subject (a name or a folder) and check its shape; an embedded one's archive, too."""
    entry = catalogue.entries().get(subject)
    if entry and entry.origin == "embedded":
        catalogue.check_archive(entry)
    found = catalogue.resolve(subject)
    read_all(found)
    digest = catalogue.subject_hash(found)
    if as_json:
        emit({"subject": found.name, "frames": len(found.ids), "sha256": digest})
    else:
        click.echo(f"{found.name}: all {len(found.ids)} frames are whole; sha256 {digest}")


def read_all(subject: Subject) -> None:
    """Open everything a method may ask for; DataError at the first file that is broken."""
    _ = subject.background, subject.audio_features, subject.action_units
    if describe(subject)["expression"]:
        _ = subject.coefficients
    for frame_id in subject.ids:
        frame = subject.frame(frame_id)
        _ = frame.image, frame.labels, frame.teeth, frame.landmarks, frame.camera


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
            "origin": entry.origin,
            "licence": str(entry.card.get("licence", "")),
            "for_tests": entry.for_tests,
        }
        for entry in catalogue.entries().values()
    ]


def subjects_table(rows: list[dict[str, Any]]) -> Table:
    """The rows for people."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("subject", "origin", "licence", "what"):
        view.add_column(title, overflow="fold")
    for row in rows:
        view.add_row(
            row["name"], row["origin"], row["licence"], row["title"] + (" (for tests)" if row["for_tests"] else "")
        )
    return view
