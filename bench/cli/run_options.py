"""The options that ``bench run`` and ``bench ablate`` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from bench.cli.output import JSON, CommaList
from bench.cli.plan_file import PLAN
from bench.contract import PRESETS

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    PLAN,
    click.option(
        "--subjects",
        type=CommaList(),
        default="",
        metavar="S,T",
        help="Names or folders, or all.  [default: the embedded ones]",
    ),
    click.option("--preset", type=click.Choice(PRESETS), default="quick", show_default=True, help="How long to train."),
    click.option(
        "--seeds", type=CommaList(int), default="0", show_default=True, metavar="0,1", help="One cell for each seed."
    ),
    click.option(
        "--protocol",
        type=CommaList(),
        default="neutral",
        show_default=True,
        metavar="P,Q",
        help="What is measured (`bench protocols list`). A run folder for each.",
    ),
    click.option(
        "--metrics",
        type=CommaList(),
        default="",
        metavar="A,B",
        help="What to score (`bench metrics list`).  [default: what the protocol names]",
    ),
    click.option("--detector", metavar="mediapipe|fan|dlib", help="Landmark detector.  [default: the protocol's]"),
    click.option(
        "--references/--no-references",
        default=True,
        show_default=True,
        help="Add floor and ceilings: mean-frame, codec, copy-gt.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="Run folder; of several protocols, OUT-PROTOCOL.  [default: runs/<preset>-<methods>-<hash of the request>]",
    ),
    click.option(
        "--executor",
        type=click.Choice(["local", "ray", "slurm"]),
        default="local",
        show_default=True,
        help="Where cells run: here, on a Ray cluster (RAY_ADDRESS), as a Slurm job array.",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(1),
        help="Cells at the same time.  [default: on the CPU one a core, as far as memory goes; on CUDA 1]",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        help="CPU threads for each cell.  [default: the cores, shared out over the cells that train at the same time]",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where methods run.",
    ),
    click.option(
        "--time-limit", type=click.FloatRange(0, min_open=True), metavar="MIN", help="Minutes a cell may take."
    ),
    click.option(
        "--profile",
        is_flag=True,
        help="Record the time of each part of a training step. Only what is trained now is measured: finished cells are kept.",
    ),
    click.option(
        "--log",
        type=click.Choice(["tensorboard"]),
        help="Also log training to the cells' tensorboard/ folders, as --profile.",
    ),
    click.option(
        "--load",
        type=click.Path(path_type=Path),
        metavar="CHECKPOINT",
        help="Render this checkpoint folder instead of training: one method, one subject.",
    ),
    click.option(
        "--reuse/--no-reuse",
        default=True,
        show_default=True,
        help="Take over cells that another run in the same parent folder has done on this machine.",
    ),
    click.option("--force", is_flag=True, help="Run finished cells again, from nothing."),
    click.option(
        "--dry-run", is_flag=True, help="Check everything, show the plan and what it will take, start nothing."
    ),
    JSON,
)


def run_options(command: _Command) -> _Command:
    """The options of a run; the command gets them as keywords, for :class:`Options`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Options:
    """What :func:`run_options` were given."""

    subjects: Sequence[str]
    preset: str
    seeds: Sequence[int]
    protocol: Sequence[str]
    metrics: Sequence[str]
    detector: str | None
    references: bool
    out: Path | None
    executor: Literal["local", "ray", "slurm"]
    jobs: int | None
    threads: int | None
    device: str
    time_limit: float | None
    profile: bool
    log: Literal["tensorboard"] | None
    load: Path | None
    reuse: bool
    force: bool
    dry_run: bool
    as_json: bool
