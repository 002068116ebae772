"""What a table lacks, why, and the command that fills it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bench import catalogue, registry
from bench.protocol import DEFAULT
from bench.report.data import Run
from bench.report.rows import Row

_DETECTOR = "mediapipe"


@dataclass(frozen=True)
class Gap:
    """Numbers that are not there."""

    label: str
    """Whose: ``degstalk[-E]``."""
    reason: str
    command: str = ""
    """For a shell; empty where no command helps."""


def not_run(run: Run, label: str, preset: str = "") -> Gap:
    """A method or variant that the run has no cell of.

    :param label: as it is asked for: ``degstalk[-E]``
    :param preset: the one it lacks; empty: the run's first
    """
    method = label.partition("[")[0].partition("@")[0]
    if method not in registry.names():
        return Gap(label, f"no method {method!r} is installed here")
    seeds = sorted({cell.key.seed for cell in run.cells if cell.key not in run.plan.references})
    return Gap(label, "not run", _command(run, label, run.subjects, seeds, preset or run.cells[0].key.preset))


def unfinished(run: Run, row: Row) -> Gap | None:
    """The cells of ``row`` that failed, are invalid, or have not been run; None if it has all."""
    rows = [child for child in row.children if child.status != "ok" and child.key]
    keys = [child.key for child in rows if child.key]
    if not keys:
        return None
    states = [
        f"{key.subject}, seed {key.seed}: {child.status}" + (f" ({child.error})" if child.error else "")
        for key, child in zip(keys, rows, strict=True)
    ]
    subjects = list(dict.fromkeys(key.subject for key in keys))
    command = _command(run, keys[0].label, subjects, sorted({key.seed for key in keys}), keys[0].preset)
    return Gap(row.method, "; ".join(states), command)


def _command(run: Run, label: str, subjects: Sequence[str], seeds: Sequence[int], preset: str) -> str:
    """``bench run`` of these cells into the same folder, measured in the same way."""
    plan = run.plan
    named = ",".join(_spelled(run, subject) for subject in subjects)
    words = ["bench", "run", "--methods", label, "--subjects", named, "--preset", preset]
    if list(seeds) not in ([], [0]):
        words += ["--seeds", ",".join(map(str, seeds))]
    found = (cell.record.provenance.get("detector") for cell in run.cells if cell.record)
    detector = next(filter(None, found), _DETECTOR)
    if plan.protocol != DEFAULT or detector != _DETECTOR:
        words += ["--protocol", plan.protocol, "--detector", detector]
    words += ["--device", plan.device, "--out", str(run.path)]
    return shlex.join([*words, *([] if plan.references else ["--no-references"])])


def _spelled(run: Run, subject: str) -> str:
    """How a subject is asked for: by its name, or by its folder if it was given as one."""
    if subject in catalogue.entries():
        return subject
    roots = (cell.subject_root for cell in run.cells if cell.key.subject == subject)
    return str(next(filter(None, roots), subject))
