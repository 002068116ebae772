"""Cells that another run beside this one has done already: taken over, not done twice.

Two runs in one folder (``runs/`` by default) that ask for the same cell of the same files on the same device and machine share
its work: training for sure, and what else still holds. Files are hard links where the file system has them.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench import records
from bench.checkpoints import proved, read_proof
from bench.errors import RecordError
from bench.paths import atomic_folder
from bench.records import CellKey, Plan
from bench.run.layout import CellFolder, Job, Origin, RunFolder

_OWN = {"log.txt", "inspection", "tensorboard"}
"""What isn't taken along: a log is appended to, the others are made on demand."""


def beside(jobs: Iterable[Job], plan: Plan) -> dict[CellKey, Job]:
    """For each cell that hasn't begun, its job in a neighbouring run that has trained it from the same files by the same code.

    Only in runs on the same hardware, because a record's times are of the machine that took them.
    """
    fresh = [job for job in jobs if not job.folder.root.exists()]
    others = [other for other in neighbours(fresh[0].run) if _same_machine(other, plan)] if fresh else []
    found = {}
    for job in fresh:
        there = (job.model_copy(update={"run": other}) for other in others)
        if first := next((one for one in there if _same(one.folder, job)), None):
            found[job.cell] = first
    return found


def take_over(jobs: Sequence[Job], plan: Plan) -> Mapping[str, int]:
    """Give the cells that haven't begun what a neighbouring run has of them; how many came from which run folder."""
    found = beside(jobs, plan)
    return Counter(found[job.cell].run.name for job in jobs if job.cell in found and _take(found[job.cell].folder, job))


def neighbours(run: Path) -> Iterator[Path]:
    """The run folders beside one, in order; not those that aren't ours to read, nor another user's, whose word would count here."""
    if run.parent.is_dir():
        plans = {p: RunFolder(p).plan for p in sorted(run.parent.iterdir()) if p != run}
        yield from (p for p, plan in plans.items() if os.path.isfile(plan) and plan.stat().st_uid == os.getuid())


def _same_machine(run: Path, plan: Plan) -> bool:
    try:
        other = records.load_plan(run)
    except RecordError:
        return False
    return (other.device, other.hardware) == (plan.device, plan.hardware)


def _take(there: CellFolder, job: Job) -> bool:
    try:
        proved(there.checkpoint)
        with atomic_folder(job.folder.root) as temporary:
            for entry in there.root.iterdir():
                if entry.name not in _OWN and not entry.name.startswith("."):
                    _link(entry, temporary / entry.name)
            (temporary / job.folder.log.name).write_text(f"--- taken over from {there.root}\n", encoding="utf-8")
    except (
        FileNotFoundError,
        RecordError,
    ):  # a run at work there has just replaced a file, or a checkpoint was changed
        return False
    return True


def _same(there: CellFolder, job: Job) -> bool:
    """Whether a cell is trained, from the same files, by the code that is here; an older version's, which doesn't say so, isn't."""
    if not there.trained.is_file():
        return False
    try:
        return Origin.read(there.job).same_files(job.origin) and read_proof(there.checkpoint).code == job.code
    except RecordError:
        return False


def _link(source: Path, target: Path) -> None:
    """A file or folder, hidden files left out."""
    if source.is_dir():
        target.mkdir()
        for entry in source.iterdir():
            if not entry.name.startswith("."):
                _link(entry, target / entry.name)
        return
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
