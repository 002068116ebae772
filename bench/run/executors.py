"""Where cells run: on this machine, on a Ray cluster, as a Slurm job array. Each is a module with ``execute``; some may be missing."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from importlib import import_module
from typing import Literal, Protocol, get_args

from bench.records import Record
from bench.run.executor import Watcher
from bench.run.layout import Job

Name = Literal["local", "ray", "slurm"]
NAMES: tuple[Name, ...] = get_args(Name)
_MODULES = {"local": "bench.run.executor", "ray": "bench.run.ray_executor", "slurm": "bench.run.slurm_executor"}


class Execute(Protocol):
    """What an executor does: see :func:`bench.run.executor.execute`."""

    def __call__(
        self,
        jobs: Sequence[Job],
        *,
        lock: int,
        parallel: int,
        threads: int,
        limit: float | None,
        offline: bool,
        watcher: Watcher,
    ) -> Generator[Record, None, None]:
        """Run the jobs; yield records as cells end."""


def get(name: Name) -> Execute:
    """The executor called ``name``.

    Raises:
        AbsentError: what it needs isn't installed, or not on this machine.
        UsageError: its environment variables are wrong.
    """
    module = import_module(_MODULES[name])
    if name != "local":
        module.require()
    found: Execute = module.execute
    return found
