"""Progress on stderr: live bars where someone watches, one line an event where not (CI, a log file)."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from bench.records import CellKey, Record
from bench.run.layout import RunFolder
from bench.run.summary import metric_text

_SHOWN = 4
"""Measures in the line that says that a cell is done: the protocol's first ones."""


class Display:
    """A :class:`bench.run.executor.Watcher` for people. Use as a context manager."""

    def __init__(self, run: RunFolder, cells: int) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._run, self._cells, self._ended = run, cells, 0
        self._notes: set[str] = set()
        self._tasks: dict[CellKey, TaskID] = {}
        self._stages: dict[CellKey, str] = {}
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("[cyan]{task.fields[stage]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[scalars]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Display:
        self._all = self._bars.add_task("all cells", total=self._cells, stage="", scalars="")
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, cell: CellKey) -> None:
        """See :class:`bench.run.executor.Watcher`."""
        self._tasks[cell] = self._bars.add_task(_title(cell), total=None, stage="start", scalars="")

    def event(self, cell: CellKey, event: dict[str, Any]) -> None:
        """See :class:`bench.run.executor.Watcher`."""
        task = self._tasks[cell]
        if event["event"] == "note":
            self.note(event["text"])
        elif event["event"] == "stage":
            self._bars.reset(task, total=event["total"] or None, stage=event["stage"], scalars="")
            if not self._console.is_terminal and self._stages.get(cell) != event["stage"]:
                self._console.print(f"      {_title(cell)}: {event['stage']}")
            self._stages[cell] = event["stage"]
        else:
            self._bars.update(task, completed=event["done"], scalars=_scalars(event["scalars"]))

    def ended(self, cell: CellKey, record: Record) -> None:
        """See :class:`bench.run.executor.Watcher`."""
        self._bars.remove_task(self._tasks.pop(cell))
        self._ended += 1
        self._bars.update(self._all, completed=self._ended)
        head = f"[{self._ended}/{self._cells}]"
        log = self._run.cell(cell).log
        if record.status == "failed":
            text = f"[red]failed[/red] {escape(record.error or '')} [dim](log: {escape(str(log))})[/dim]"
        else:
            numbers = "  ".join(f"{name.upper()} {metric_text(m)}" for name, m in list(record.metrics.items())[:_SHOWN])
            note = f"  [yellow]invalid: {escape(record.error or '')}[/yellow]" if record.status == "invalid" else ""
            text = f"[green]done[/green] in {record.seconds:.0f} s  {numbers}{note}"
        self._console.print(f"{escape(head)} {_title(cell)}: {text}")

    def note(self, text: str) -> None:
        """One line for the user; the same line is shown once."""
        if text in self._notes:
            return
        self._notes.add(text)
        self._console.print(f"[yellow]note:[/yellow] {escape(text)}")


def _title(cell: CellKey) -> str:
    seed = f" · seed {cell.seed}" if cell.seed else ""
    return escape(f"{cell.label} · {cell.subject}{seed}")


def _scalars(scalars: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in list(scalars.items())[:3])
