"""The cells that a figure shows of one subject: one a method."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bench.report.data import Cell, Run


@dataclass(frozen=True)
class Shown:
    """One subject's cells."""

    subject: str
    cells: dict[str, Cell]
    """By the method's label, in the plan's order."""

    @property
    def seed(self) -> int:
        """Of the cells."""
        return min((cell.key.seed for cell in self.cells.values()), default=0)


def shown(run: Run, labels: Collection[str]) -> list[Shown]:
    """For each subject the usable cells of ``labels``, the lowest seed of each; subjects without any are left out."""
    found = []
    for subject in run.subjects:
        cells: dict[str, Cell] = {}
        for cell in sorted((c for c in run.cells if c.key.subject == subject and c.status == "ok"), key=_seed):
            label = run.label(cell.key)
            if label in labels:
                cells.setdefault(label, cell)
        ordered = {label: cells[label] for label in run.methods if label in cells}
        found += [Shown(subject, ordered)] if ordered else []
    return found


def _seed(cell: Cell) -> int:
    return cell.key.seed
