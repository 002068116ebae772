"""How far training is: told to the terminal, written down for the report, and timed across kills and resumes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from bench.parts import Parts
from bench.paths import atomic_file, write_text
from bench.run.layout import CellFolder

Emit = Callable[[dict[str, Any]], None]
"""Sends an event to the process that shows progress."""

SETUP = "setup"
"""The stage before a method names one of its own."""
_EVENT_EVERY = 0.1
"""Seconds between two events, so that a fast loop does not drown its reader."""


@dataclass(frozen=True)
class Step:
    """One line of the training log."""

    stage: str
    step: int
    seconds: float
    """Time the stage had taken when the step was done, over all sessions, lost work not counted."""
    scalars: Mapping[str, float]


class TrainingProgress:
    """A :class:`bench.contract.Progress` that survives kill -9.

    Every step is logged with its stage's time so far. When a resumed method says that it is at step *k*, the clock goes
    on from the time logged for *k*, and later lines are dropped: that work is done again. So times are those of a run
    left alone, but for loading the checkpoint.

    Where the parts of steps are measured, ``parts`` is told of stages and of steps; steps of earlier sessions it never hears of.
    """

    _stage: str
    _total: int
    _done: int
    """Steps of the stage that are logged, -1 before the first."""
    _base: float
    """Seconds of the stage in earlier sessions."""
    _since: float
    _placed: bool
    """False until the stage's first step says how much of it an earlier session did."""
    _last_event: float

    def __init__(
        self,
        folder: CellFolder,
        emit: Emit,
        clock: Callable[[], float] = time.perf_counter,
        parts: Parts | None = None,
    ) -> None:
        self._folder, self._emit, self._clock, self._parts = folder, emit, clock, parts
        self._stages = _read(folder)
        self._log = self._rewritten()
        self._begin(SETUP, 0)

    def stage(self, name: str, total: int) -> None:
        """See :class:`bench.contract.Progress`."""
        self._end()
        self._begin(name, total)

    def step(self, done: int, scalars: Mapping[str, float] | None = None) -> None:
        """See :class:`bench.contract.Progress`."""
        resumed = not self._placed and self._place(done)
        if self._parts:
            self._parts.steps(0 if resumed else done - max(self._done, 0))
        if done > self._done:
            self._done = done
            self._write(Step(self._stage, done, self._seconds(), {k: float(v) for k, v in (scalars or {}).items()}))
        self._tell(scalars or {})

    def image(self, name: str, picture: NDArray[np.uint8]) -> None:
        """See :class:`bench.contract.Progress`."""
        from PIL import Image

        with atomic_file(self._folder.pictures / f"{name}.jpg") as path:
            Image.fromarray(picture).save(path, quality=90)

    def finish(self) -> dict[str, float]:
        """Training is over: write the table, return seconds per stage and their ``total``."""
        import pandas as pd

        self._end()
        self._log.close()
        seconds = {stage: steps[-1].seconds for stage, steps in self._stages.items()}
        every = [step for steps in self._stages.values() for step in steps]
        rows = [{"stage": s.stage, "step": s.step, "seconds": s.seconds, **s.scalars} for s in every]
        with atomic_file(self._folder.training) as path:
            pd.DataFrame(rows).to_csv(path, index=False)
        return {"total": sum(seconds.values()), **seconds}

    def _begin(self, name: str, total: int) -> None:
        self._stage, self._total, self._done = name, total, -1
        self._base, self._since, self._placed = 0.0, self._clock(), False
        self._last_event = float("-inf")
        if self._parts:
            self._parts.stage(name)
        self._emit({"event": "stage", "stage": name, "total": total})

    def _place(self, done: int) -> bool:
        """Go on where an earlier session was when it had done as much; what it did later is done again. False: nowhere."""
        self._placed = True
        logged = self._stages.setdefault(self._stage, [])
        kept = [step for step in logged if step.step <= done]
        if kept:
            self._done, self._base = kept[-1].step, kept[-1].seconds
            if self._done == done:
                self._since = self._clock()
        if len(kept) < len(logged):
            self._stages[self._stage] = kept
            self._rewrite()
        return bool(kept)

    def _end(self) -> None:
        """Book the stage's whole time, its last checkpoint included, on its last line."""
        if self._placed:
            self._write(Step(self._stage, self._done, self._seconds(), {}))
        else:  # it had no steps, so nothing of it was resumed
            self._stages[self._stage] = [Step(self._stage, 0, self._seconds(), {})]
            self._rewrite()

    def _seconds(self) -> float:
        return self._base + self._clock() - self._since

    def _write(self, step: Step) -> None:
        _add(self._stages, step)
        self._log.write(_line(step))

    def _rewrite(self) -> None:
        self._log.close()
        self._log = self._rewritten()

    def _rewritten(self) -> TextIO:
        """The log on disk made equal to the one in memory, open for more lines."""
        write_text(self._folder.steps, "".join(_line(step) for steps in self._stages.values() for step in steps))
        return self._folder.steps.open("a", encoding="utf-8", buffering=1)

    def _tell(self, scalars: Mapping[str, float]) -> None:
        now = self._clock()
        if now - self._last_event >= _EVENT_EVERY or self._done >= self._total:
            self._last_event = now
            self._emit({"event": "step", "done": self._done, "scalars": dict(scalars)})


def _add(stages: dict[str, list[Step]], step: Step) -> None:
    """Append a step to its stage; the last one again only brings its time up to date."""
    steps = stages.setdefault(step.stage, [])
    if steps and steps[-1].step == step.step:
        step = replace(steps.pop(), seconds=step.seconds)
    steps.append(step)


def _line(step: Step) -> str:
    return json.dumps([step.stage, step.step, step.seconds, dict(step.scalars)]) + "\n"


def _read(folder: CellFolder) -> dict[str, list[Step]]:
    """The steps logged so far, by stage; a line torn by a kill ends the log."""
    stages: dict[str, list[Step]] = {}
    if folder.steps.exists():
        for line in folder.steps.read_text(encoding="utf-8").splitlines():
            try:
                _add(stages, Step(*json.loads(line)))
            except (ValueError, TypeError):
                break
    return stages
