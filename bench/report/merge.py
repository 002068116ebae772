"""Several runs as one: the newest good cell of each kind, so that all views of a run can show them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from bench.errors import RecordError
from bench.records import CellKey, Plan
from bench.report.data import Cell, Run, load

_HASH_DIGITS = 6


@dataclass(frozen=True)
class Merged:
    """The runs as one."""

    run: Run
    """Cells that a method has of one subject but not of another are there as pending."""
    sources: Mapping[str, Path]
    """The run that a cell came from, by the cell's name."""
    notes: tuple[str, ...]


def merge(paths: Sequence[Path], path: Path) -> Merged:
    """Read run folders and take each cell from the run that has it: an ok one before others, then the latest.

    Subjects of one name but of another folder, or with other test frames, are different subjects: ``ada@1f2e3d``.

    :param path: what the result is called
    :raises bench.errors.RecordError: if one of ``paths`` is no run folder, or none of them has a cell with a record
    """
    runs = [load(each) for each in paths]
    names = _subject_names(runs)
    best: dict[CellKey, tuple[Run, Cell]] = {}
    notes = [stray for run in runs for stray in run.strays]
    for run, cell in ((each, cell) for each in runs for cell in each.cells if cell.record):
        key = cell.key.model_copy(update={"subject": names[_subject(cell)]})
        known = best.get(key)
        if known:
            notes.append(
                f"{key.name}: in {known[0].path} and {run.path}; the later one counts, an ok one before others"
            )
        if not known or _merit(cell) > _merit(known[1]):
            best[key] = (run, replace(cell, key=key))
    if not best:
        raise RecordError(f"no finished cell in {', '.join(map(str, paths))}; see `bench status RUN`")
    cells = [cell for _, cell in best.values()]
    cells += [Cell(key, path / "cells", key.name, None) for key in _gaps(list(best))]
    plans = [run.plan for run in runs]
    plan = Plan(
        cells=[cell.key for cell in cells],
        device=", ".join(dict.fromkeys(plan.device for plan in plans)),
        protocol=", ".join(dict.fromkeys(plan.protocol for plan in plans)),
        created=max(plan.created for plan in plans),
    )
    merged = Run(path, plan, tuple(cells), truths=dict(_truths(best.values(), names)))
    return Merged(merged, {key.name: run.path for key, (run, _) in best.items()}, tuple(dict.fromkeys(notes)))


_Subject = tuple[str, str, int]
"""Its name, the hash of its folder, and how many test frames were rendered."""


def _subject(cell: Cell) -> _Subject:
    record = cell.record
    assert record
    return (cell.key.subject, record.provenance.get("subject", ""), record.frames)


def _subject_names(runs: Sequence[Run]) -> dict[_Subject, str]:
    """What each subject is called; a cell that failed before it rendered belongs to the first of its name."""
    found: dict[_Subject, str] = {}
    cells = [cell for run in runs for cell in run.cells if cell.record]
    for name, digest, frames in sorted(map(_subject, cells), key=lambda subject: subject[2] == 0):
        same_name = [subject for subject in found if subject[0] == name]
        is_first = not same_name or not frames
        known = f"{name}@{digest[:_HASH_DIGITS] or 'unknown'}"
        if known in found.values():
            known += f"-{frames}"
        found.setdefault((name, digest, frames), name if is_first else known)
    return found


def _merit(cell: Cell) -> tuple[bool, str]:
    return (cell.status == "ok", cell.record.started if cell.record else "")


def _gaps(keys: Sequence[CellKey]) -> Iterator[CellKey]:
    """For each method and subject of which there is no cell, one."""
    methods = dict.fromkeys(key.model_copy(update={"subject": "", "seed": 0}) for key in keys)
    have = {key.model_copy(update={"seed": 0}) for key in keys}
    for method, subject in product(methods, dict.fromkeys(key.subject for key in keys)):
        if (key := method.model_copy(update={"subject": subject})) not in have:
            yield key


def _truths(cells: Iterable[tuple[Run, Cell]], names: Mapping[_Subject, str]) -> Iterator[tuple[str, Path]]:
    originals = {name: subject[0] for subject, name in names.items()}
    for run, cell in cells:
        if (video := run.ground_truth(originals[cell.key.subject])).exists():
            yield cell.key.subject, video
