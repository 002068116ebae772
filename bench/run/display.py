"""Progress on stderr: live where someone watches, one line an event where not (CI, a log file)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
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
from rich.text import Text

from bench.records import CellKey, Record
from bench.run.layout import RunFolder
from bench.run.summary import metric_text
from bench.units import duration

_SHOWN = 4
"""Measures in the line that says that a cell is done: the protocol's first ones."""
_FEW = 24
"""Cells up to which each that is done has a line; of more, those that went wrong have, and the others are counted."""
_ROWS = 16
"""Cells at work that are shown at most."""
_EVERY = 0.25
"""Seconds between two pictures."""


class Display:
    """A :class:`bench.run.executor.Watcher` for people. Use as a context manager."""

    def __init__(self, run: RunFolder, expected: Mapping[CellKey, float | None], kept: int = 0) -> None:
        """Show a run.

        :param expected: the cells to be run, and the seconds that each is known to take
        :param kept: cells that were done before
        """
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._run, self._kept, self._cells = run, kept, len(expected)
        known = [seconds for seconds in expected.values() if seconds]
        usual = sum(known) / len(known) if known else 1.0
        self._weights = {cell: seconds or usual for cell, seconds in expected.items()}
        self._over = Counter[str]()
        self._done, self._total = 0.0, sum(self._weights.values())
        self._began = time.monotonic()
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
        )
        self._live = Live(
            console=self._console, transient=True, refresh_per_second=1 / _EVERY, get_renderable=self._picture
        )

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

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
            listed = not self._console.is_terminal and self._cells <= _FEW
            if listed and self._stages.get(cell) != event["stage"]:
                self._console.print(f"      {_title(cell)}: {event['stage']}")
            self._stages[cell] = event["stage"]
        else:
            self._bars.update(task, completed=event["done"], scalars=_scalars(event["scalars"]))

    def ended(self, cell: CellKey, record: Record) -> None:
        """See :class:`bench.run.executor.Watcher`."""
        self._bars.remove_task(self._tasks.pop(cell))
        self._stages.pop(cell, None)
        self._over[record.status] += 1
        self._done += self._weights.get(cell, 0.0)
        if record.status == "ok" and self._console.is_terminal and self._cells > _FEW:
            return
        head = f"[{self._over.total()}/{self._cells}]"
        left = "" if self._console.is_terminal else f"  {self._left()}"
        self._console.print(f"{escape(head)} {_title(cell)}: {self._outcome(cell, record)}{left.rstrip()}")

    def note(self, text: str) -> None:
        """One line for the user; the same line is shown once."""
        if text in self._notes:
            return
        self._notes.add(text)
        self._console.print(f"[yellow]note:[/yellow] {escape(text)}")

    def _outcome(self, cell: CellKey, record: Record) -> str:
        if record.status == "failed":
            log = escape(str(self._run.cell(cell).log))
            return f"[red]failed[/red] {escape(record.error or '')} [dim](log: {log})[/dim]"
        numbers = "  ".join(f"{name.upper()} {metric_text(m)}" for name, m in list(record.metrics.items())[:_SHOWN])
        note = f"  [yellow]invalid: {escape(record.error or '')}[/yellow]" if record.status == "invalid" else ""
        return f"[green]done[/green] in {record.seconds:.0f} s  {numbers}{note}"

    def _picture(self) -> RenderableType:
        """All cells in one line, then those at work, as many as there is room for."""
        rows = max(1, min(_ROWS, self._console.height - 4))
        at_work = self._bars.tasks
        parts: list[RenderableType] = [self._counts(), self._bars.make_tasks_table(at_work[:rows])]
        if len(at_work) > rows:
            parts.append(Text(f"… and {len(at_work) - rows} more at work", "dim"))
        return Group(*parts)

    def _counts(self) -> Text:
        over = self._over
        parts = [f"{over.total()} of {self._cells} cells over"]
        parts += [f"{over[status]} {status}" for status in ("failed", "invalid") if over[status]]
        parts += [f"{len(self._tasks)} at work"] if self._tasks else []
        parts += [f"{self._kept} kept from before"] if self._kept else []
        return Text(" · ".join([*parts, *filter(None, [self._left()])]), "bold")

    def _left(self) -> str:
        """When all will be over, from how long what is over took."""
        if not 0 < self._done < self._total:
            return ""
        return f"about {duration((time.monotonic() - self._began) * (self._total - self._done) / self._done)} left"


def _title(cell: CellKey) -> str:
    seed = f" · seed {cell.seed}" if cell.seed else ""
    return escape(f"{cell.label} · {cell.subject}{seed}")


def _scalars(scalars: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in list(scalars.items())[:3])
