"""What a whole run will take, and whether it fits on this machine: found out before any of it starts."""

from __future__ import annotations

import heapq
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bench import registry, system
from bench.errors import MethodError, RecordError, UsageError
from bench.records import Backend, CellKey
from bench.run.estimate import NOTHING, Estimate, estimates
from bench.run.layout import Job, Origin
from bench.run.preflight import Prepared
from bench.run.reuse import beside
from bench.run.standing import Standing, standing
from bench.subject import Subject

_GIB = 2**30
_UNKNOWN_CHECKPOINT = 200 * 2**20
"""Room for checkpoint and training pictures of a trained cell of which no record tells."""
_WHILE_TRAINING = 6
"""Times its finished checkpoint that a cell may take while it trains: parameters and two moments, the old file beside the new."""
_RAW_SHARE = 0.7
"""FFV1 takes about two thirds of the raw frames."""


@dataclass(frozen=True)
class Cost:
    """A cell: where it stands and what it will take."""

    job: Job
    state: str
    """As :class:`bench.run.standing.Standing` has it."""
    kept: bool
    """It is done, so that nothing is to be run."""
    estimate: Estimate
    giver: Path | None = None
    """The neighbouring run that it, or its checkpoint, is taken over from (:mod:`bench.run.reuse`)."""


@dataclass(frozen=True)
class Budget:
    """One run's cells, ``parallel`` at once."""

    costs: tuple[Cost, ...]
    parallel: int

    @property
    def pending(self) -> list[Cost]:
        """Cells that will be run."""
        return [cost for cost in self.costs if not cost.kept]

    @property
    def unknown(self) -> int:
        """Cells to run of which no record tells how long they take."""
        return sum(cost.estimate.seconds is None for cost in self.pending)

    @property
    def cell_seconds(self) -> float:
        """All known cells' times together."""
        return sum(cost.estimate.seconds or 0.0 for cost in self.pending)

    @property
    def wall_seconds(self) -> float:
        """Until the last known cell is over: each starts, in order, as soon as one of those before it has ended."""
        ends = [0.0] * self.parallel
        for cost in self.pending:
            heapq.heapreplace(ends, ends[0] + (cost.estimate.seconds or 0.0))
        return max(ends)

    @property
    def memory(self) -> int:
        """Bytes that the largest known cells take, as many as run at once."""
        return sum(self._largest(cost.estimate.memory for cost in self.pending))

    @property
    def vram(self) -> int:
        """The same of the GPU's memory."""
        return sum(self._largest(cost.estimate.vram for cost in self.pending))

    @property
    def disk(self) -> int:
        """Bytes that the finished cells will take, where no record tells a reckoning; and what training needs meanwhile."""
        reckoned = cache(_reckoned)
        known = [(cost.job, cost.estimate.disk) for cost in self.pending]
        left = sum(reckoned(job.subject_root, *_kind(job)) if disk is None else disk for job, disk in known)
        return left + (_WHILE_TRAINING - 1) * sum(self._largest(cost.estimate.checkpoint for cost in self.pending))

    def _largest(self, values: Iterable[int | None]) -> list[int]:
        return heapq.nlargest(self.parallel, (value or 0 for value in values))


def budgets(runs: Sequence[Prepared], jobs: int | None, *, force: bool, reuse: bool, local: bool) -> list[Budget]:
    """What each of the runs, which come one after the other, will take.

    :param jobs: cells at once; None: as many as :func:`bench.system.parallel_cells` says and as are known to fit in memory
    :param force: every cell is run, from nothing
    :param reuse: a later run doesn't train what an earlier one, or a neighbour, has trained
    :param local: the cells run on this machine
    """
    trained: set[CellKey] = set()
    reuse = reuse and not force
    found = []
    for prepared in runs:
        costs = _costs(prepared, force, reuse)
        if reuse:
            costs = [_untrained(cost) if cost.job.cell in trained else cost for cost in costs]
        trained |= {cost.job.cell for cost in costs}
        if jobs:
            found.append(Budget(tuple(costs), jobs))
        else:
            most = Budget(tuple(costs), system.parallel_cells(prepared.plan.device, len(costs)))
            found.append(replace(most, parallel=_fitting(most)) if local else most)
    return found


def check(runs: Sequence[Prepared], found: Sequence[Budget], *, local: bool) -> None:
    """Raise unless the runs fit: on the disk together, in memory one after the other.

    Memory is checked where the cells run on this machine (``local``), against what earlier cells took.

    Raises:
        UsageError: they don't; the message has the figures and a remedy.
    """
    _check_disk(runs[0].run.root, sum(budget.disk for budget in found))
    for budget in found if local else ():
        if lack := _lack(budget):
            fewer = _fitting(budget)
            remedy = f"use --jobs {fewer}" if fewer < budget.parallel else "use a larger machine or a smaller preset"
            raise UsageError(f"{budget.parallel} cells at once would take {lack}: {remedy}")


def _costs(prepared: Prepared, force: bool, reuse: bool) -> list[Cost]:
    given = beside(prepared.jobs, prepared.plan) if reuse else {}
    costs = [_standing(job, given.get(job.cell), force) for job in prepared.jobs]
    known = estimates([cost.job for cost in costs if not cost.kept])
    costs = [cost if cost.kept else replace(cost, estimate=known[cost.job.cell]) for cost in costs]
    return [
        _untrained(cost) if cost.giver or (cost.state != "new" and _is_trained(cost.job)) else cost for cost in costs
    ]


def _standing(job: Job, there: Job | None, force: bool) -> Cost:
    """Where a cell stands, without its record, which is not kept: there may be many.

    :param there: its job in the run that it is taken over from
    """
    stand = Standing("new") if force else standing(there or job)
    state, giver = ("new", there.run) if there else (stand.state, None)
    return Cost(job, state, stand.record is not None, NOTHING, giver)


def _is_trained(job: Job) -> bool:
    try:
        return job.folder.trained.is_file() and Origin.read(job.folder.job).same_files(job.origin)
    except RecordError:
        return False


def _untrained(cost: Cost) -> Cost:
    return replace(cost, estimate=replace(cost.estimate, training=0.0))


def _reckoned(subject: Path, *kind: *tuple[str, str, Backend]) -> int:
    """Bytes of a cell of which no record tells: its frames, and a checkpoint if the method learns something."""
    opened = Subject(subject)
    frames = int(3 * math.prod(opened.size) * len(opened.test_ids) * _RAW_SHARE)
    return frames + (_UNKNOWN_CHECKPOINT if _learns(*kind) else 0)


def _kind(job: Job) -> tuple[str, str, Backend]:
    return job.cell.method, job.cell.variant, job.cell.backend


def _learns(*kind: *tuple[str, str, Backend]) -> bool:
    """Whether cells of a method have a checkpoint worth speaking of."""
    try:
        return registry.info(*kind).kind != "reference"
    except MethodError:
        return False  # a broken plugin: the cell will fail


def _fitting(budget: Budget) -> int:
    """As many cells at once as are known to fit in memory, at least one."""
    fewer = (n for n in range(budget.parallel, 1, -1) if not _lack(replace(budget, parallel=n)))
    return next(fewer, 1)


def _lack(budget: Budget) -> str:
    """Which memory is too small, in words; empty: none that is known."""
    for what, needed, there in (
        ("memory", budget.memory, system.memory),
        ("GPU memory", budget.vram, system.gpu_memory),
    ):
        if needed and needed > (room := there()):
            return f"{needed / _GIB:.1f} GiB of {what}, as earlier ones did, and there are {room / _GIB:.1f}"
    return ""


def _check_disk(root: Path, needed: int) -> None:
    place = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        room = f"{free / _GIB:.1f} GiB free, the run needs about {needed / _GIB:.1f}"
        raise UsageError(f"{place} has {room}: free some (`bench gc`) or use another --out")
