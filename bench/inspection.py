"""Looking into a trained checkpoint: what a method may say of itself (:class:`Inspectable`), and the page made of it.

The harness knows no method: it opens the checkpoint, hands over test frames as for rendering, and lays out what comes back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote

from bench.checkpoints import Opened
from bench.contract import Conditioning
from bench.errors import MethodError, UsageError
from bench.paths import atomic_folder, content, write_text

CARD, PAGE = "inspect.json", "index.html"
DEFAULT_FRAMES = 3


@dataclass(frozen=True)
class InspectTask:
    """What a method is to look into."""

    checkpoint: Path
    device: str
    chosen: Sequence[Conditioning]
    """The test frames to draw, at least one."""
    every: Sequence[Conditioning]
    """All test frames, in order: for means over time. Nothing of a frame is read before it is asked for."""
    out: Path
    """An empty folder for pictures and files."""


@dataclass(frozen=True)
class Picture:
    """A PNG picture that the method wrote."""

    file: str
    """Its path below ``out``, with ``/``."""
    caption: str
    """What is seen, with units; shown as text, and read out in the picture's place."""


@dataclass(frozen=True)
class Sheet:
    """Pictures that stand beside each other."""

    pictures: tuple[Picture, ...]
    title: str = ""


@dataclass(frozen=True)
class File:
    """Another file that the method wrote, to be opened elsewhere."""

    file: str
    """Its path below ``out``, with ``/``."""
    what: str


@dataclass(frozen=True)
class Table:
    """Numbers, a row a thing."""

    key: str
    """Its name in the JSON document."""
    title: str
    """With the unit."""
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    """By label; a value a column, None where there is none."""


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    key: str
    """Its name in the JSON document."""
    title: str
    text: str = ""
    """What is shown and how it was taken; plain text."""
    tables: tuple[Table, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    files: tuple[File, ...] = ()

    @property
    def pictures(self) -> list[Picture]:
        """Those of all sheets."""
        return [picture for sheet in self.sheets for picture in sheet.pictures]


@dataclass(frozen=True)
class Inspection:
    """What a method says of its checkpoint."""

    sections: tuple[Section, ...] = field(default=())


@runtime_checkable
class Inspectable(Protocol):
    """What a method has whose checkpoints can be looked into."""

    def inspect(self, task: InspectTask) -> Inspection:
        """Write pictures and files into ``task.out``, and say what they are.

        Raises:
            RecordError: no finished checkpoint there, or one of another method.
        """


def chosen_frames(opened: Opened, wanted: Sequence[int]) -> list[int]:
    """Ids of the test frames to draw: those ``wanted``, each once, or three spread over the test split.

    Raises:
        UsageError: one isn't a test frame.
    """
    ids = opened.subject.test_ids
    if not wanted:
        count = min(DEFAULT_FRAMES, len(ids))
        return [ids[(2 * k + 1) * len(ids) // (2 * count)] for k in range(count)]
    for number in wanted:
        if number not in ids:
            raise UsageError(
                f"{opened.subject.name} has no test frame {number}: choose from its {len(ids)}, {min(ids)} to {max(ids)}"
            )
    return list(dict.fromkeys(wanted))


def check(opened: Opened, out: Path) -> None:
    """Find out before anything is computed whether the method can be looked into, and whether ``out`` may be written.

    Raises:
        UsageError: it can't, or ``out`` holds something else than an earlier inspection.
    """
    if not isinstance(opened.method, Inspectable):
        raise UsageError(
            f"method {opened.label} has no inspect(), so there is nothing to look into (see docs/inspect.md)"
        )
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: name a folder with --out")
    if out.is_dir() and not (out / CARD).exists() and any(out.iterdir()):
        raise UsageError(f"{out} exists and is no inspection: use another --out")


def inspect(opened: Opened, frames: Sequence[int], device: str, out: Path) -> dict[str, Any]:
    """Look into a checkpoint: ``out/index.html``, ``out/inspect.json``, pictures and files; an earlier inspection there goes.

    Args:
        frames: ids of test frames, at least one (:func:`chosen_frames`).

    Returns:
        What ``inspect.json`` holds: what was looked into, and each section's numbers, pictures and files.

    Raises:
        UsageError: see :func:`check`.
        MethodError: the method's answer isn't as the contract has it.
        RecordError: the method can't open its checkpoint.
    """
    check(opened, out)
    method, subject = opened.method, opened.subject
    assert isinstance(method, Inspectable)
    every = [Conditioning(subject.frame(i), subject, method.info.sees) for i in subject.test_ids]
    chosen = [Conditioning(subject.frame(i), subject, method.info.sees) for i in frames]
    with atomic_folder(out.resolve()) as folder:
        found = method.inspect(InspectTask(opened.checkpoint, device, chosen, every, folder))
        _check_answer(opened.label, found, folder)
        document = {
            "method": opened.label,
            "cell": opened.key.name if opened.key else None,
            "subject": subject.name,
            "checkpoint": str(opened.checkpoint),
            "device": device,
            "frames": list(frames),
            "sections": {section.key: _section(section) for section in found.sections},
        }
        write_text(folder / CARD, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        write_text(folder / PAGE, render(document, found))
    return document


def render(document: Mapping[str, Any], found: Inspection) -> str:
    """The page's HTML: it needs no network and no server, but the pictures beside it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(content("reports")), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    environment.filters["link"] = lambda file: quote(file)
    environment.filters["number"] = _number
    css = Markup(content("reports", "report.css").read_text(encoding="utf-8"))
    facts = {key: document[key] for key in ("method", "subject", "cell", "checkpoint", "device")}
    return environment.get_template("inspect.html.j2").render(
        title=document["cell"] or f"{document['method']} – {document['subject']}",
        facts={key: value for key, value in facts.items() if value},
        frames=document["frames"],
        sections=found.sections,
        css=css,
    )


def _section(section: Section) -> dict[str, Any]:
    tables = {
        table.key: {label: dict(zip(table.columns, row, strict=True)) for label, row in table.rows.items()}
        for table in section.tables
    }
    return {
        "text": section.text,
        "tables": tables,
        "pictures": [{"file": p.file, "caption": p.caption} for p in section.pictures],
        "files": [{"file": f.file, "what": f.what} for f in section.files],
    }


def _check_answer(label: str, found: object, folder: Path) -> None:
    if not isinstance(found, Inspection):
        raise MethodError(f"inspect() of {label} gave {type(found).__name__}, expected an Inspection")
    for section in found.sections:
        for name in [*(p.file for p in section.pictures), *(f.file for f in section.files)]:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not (folder / path).is_file():
                raise MethodError(
                    f"inspect() of {label} names the file {name!r}, which it didn't write below its folder"
                )
        for table in section.tables:
            for row, values in table.rows.items():
                if len(values) != len(table.columns) or not all(v is None or math.isfinite(v) for v in values):
                    raise MethodError(
                        f"inspect() of {label}: row {row!r} of table {table.key!r} is {values}, "
                        f"expected {len(table.columns)} finite numbers"
                    )


def _number(value: float | None) -> str:
    """Four digits are enough to look at; the JSON has all."""
    if value is None:
        return "—"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
