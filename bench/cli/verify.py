"""``bench verify``: whether a run's frames, checkpoints and scores are what its records say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.output import JSON, CommaList, emit

if TYPE_CHECKING:
    from bench.verify import Verdict

SHOWN = 8
"""Findings of one kind that are printed; ``--json`` has all."""


@click.command("verify")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--cell", "cells", multiple=True, metavar="NAME", help="Only this cell; can be given again.")
@click.option("--no-scores", is_flag=True, help="Check hashes only, which takes seconds.")
@click.option("--subjects", type=CommaList(), default=[], help="Folders of subjects that aren't known by name here.")
@JSON
@click.pass_context
def command(
    ctx: click.Context, run: Path, cells: Sequence[str], no_scores: bool, subjects: list[str], as_json: bool
) -> None:
    """Prove RUN, a run folder: take every hash again and recompute every score from the frames.

    Exit code 1 if something doesn't hold; what can't be proved on this machine is said, and is no fault.
    """
    from bench import catalogue
    from bench.verify import verify

    people = {subject.name: subject for subject in map(catalogue.resolve, subjects)}
    verdicts: list[Verdict] = []
    with _Bar() as bar:
        for verdict in verify(run, cells, scores=not no_scores, subjects=people, progress=bar.step):
            verdicts.append(verdict)
            if not as_json:
                bar.print(_lines(verdict))
    holds = all(verdict.holds for verdict in verdicts)
    if as_json:
        emit({"run": str(run), "holds": holds, "cells": [_document(verdict) for verdict in verdicts]})
    else:
        click.echo(_summary(verdicts))
    ctx.exit(0 if holds else 1)


class _Bar:
    """A bar on stderr, only where someone is watching."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import Progress

        stderr = Console(stderr=True)
        self._bar = Progress(console=stderr, transient=True, disable=not stderr.is_terminal)
        self._task = self._bar.add_task("", total=None)
        self._bar.start()
        return self

    def step(self, what: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=what, completed=done, total=total or None)

    def print(self, lines: Sequence[str]) -> None:
        """Lines on stdout; the bar makes room."""
        self._bar.stop()
        click.echo("\n".join(lines))
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _lines(verdict: Verdict) -> list[str]:
    if verdict.skipped:
        return [f"– {verdict.cell}  {verdict.skipped}"]
    lines = [f"{'✓' if verdict.holds else '✗'} {verdict.cell}  {'; '.join(verdict.proved)}".rstrip()]
    for part in dict.fromkeys(finding.part for finding in verdict.findings):
        some = [finding for finding in verdict.findings if finding.part == part]
        lines += [f"    {'✗' if f.fault else '·'} {part}: {f.text}" for f in some[:SHOWN]]
        if len(some) > SHOWN:
            lines.append(f"      and {len(some) - SHOWN} more, see --json")
    return lines


def _document(verdict: Verdict) -> dict[str, Any]:
    state = "skipped" if verdict.skipped else "ok" if verdict.holds else "fault"
    findings = [{"part": f.part, "text": f.text, "fault": f.fault} for f in verdict.findings]
    return {
        "cell": verdict.cell, "state": state, "skipped": verdict.skipped or None, "proved": verdict.proved,
        "findings": findings,
    }  # fmt: skip


def _summary(verdicts: Sequence[Verdict]) -> str:
    done = [verdict for verdict in verdicts if not verdict.skipped]
    faulty = sum(not verdict.holds for verdict in done)
    partly = sum(verdict.holds and bool(verdict.findings) for verdict in done)
    parts = [f"{len(done) - faulty} of {len(done)} cells hold"]
    parts += [f"{partly} of them could be proved in part only"] if partly else []
    parts += [f"{len(verdicts) - len(done)} had nothing to verify"] if len(done) < len(verdicts) else []
    return "; ".join(parts)
