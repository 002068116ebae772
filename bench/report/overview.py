"""A run and what is computed of it, once for all the forms in which it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.report.ablation import Ablation, ablations
from bench.report.data import Run, load
from bench.report.paper_table import PaperTable, paper_table
from bench.report.published import load_published
from bench.report.rows import Summary
from bench.report.summary import summarize

MANY = 1000
"""Cells of a run that are shown one by one at most, with players, curves and intervals: more would neither be looked at nor load."""


@dataclass(frozen=True)
class Overview:
    """What the report, the terminal and ``--json`` show; everything is computed when it is first asked for."""

    run: Run

    @classmethod
    def of(cls, run: Path | Overview) -> Overview:
        """Of a run folder.

        Raises:
            RecordError: it isn't one.
        """
        return run if isinstance(run, Overview) else cls(load(run))

    @classmethod
    def to_show(cls, run: Path | Overview) -> Overview:
        """The same for a page or the terminal: condensed if the run has more than :data:`MANY` cells."""
        from bench.report.condensed import Condensed

        overview = cls.of(run)
        return overview if overview.is_condensed or len(overview.run.cells) <= MANY else Condensed(overview.run)

    @property
    def is_condensed(self) -> bool:
        """Whether it has means alone (:class:`bench.report.condensed.Condensed`)."""
        return False

    @cached_property
    def summary(self) -> Summary:
        """Means, intervals and what is best."""
        return summarize(self.run)

    @cached_property
    def table_1(self) -> PaperTable | None:
        """The published comparison with the run beside it; None if the run has none of its methods."""
        return paper_table(self.run, self.summary, load_published())

    @cached_property
    def ablations(self) -> list[Ablation]:
        """One for each method that was run without one of its factors."""
        return ablations(self.run, self.summary)
