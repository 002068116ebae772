"""Where methods that are programs are found: TOML files that talkbench ships, ``$BENCH_METHODS``, ``$BENCH_HOME/methods``."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import paths
from bench.containers.spec import Spec, read
from bench.errors import MethodError, UsageError

FILE = "method.toml"


@dataclass(frozen=True)
class Found:
    """A method's TOML, read."""

    path: Path
    spec: Spec


def found() -> tuple[list[Found], list[MethodError]]:
    """Every method that is a program, in the order of the search, and what is wrong with those that can't be read.

    Raises:
        UsageError: ``$BENCH_METHODS`` names a file or folder that isn't there.
    """
    specs: list[Found] = []
    broken: list[MethodError] = []
    for path in dict.fromkeys(_files()):
        try:
            specs.append(Found(path, read(path)))
        except MethodError as error:
            broken.append(error)
    return specs, broken


def _files() -> Iterator[Path]:
    """``methods/**/official/method.toml``, then the user's own: TOML files, or folders with method.toml in or below them."""
    package = importlib.util.find_spec("methods")
    for root in (package.submodule_search_locations or ()) if package else ():
        yield from sorted(Path(root).glob(f"**/official/{FILE}"))
    for text in filter(None, os.environ.get("BENCH_METHODS", "").split(os.pathsep)):
        place = Path(text).expanduser().absolute()
        if not place.exists():
            raise UsageError(
                f"BENCH_METHODS names {place}, which isn't there: name TOML files or folders that hold them"
            )
        yield from sorted(place.rglob(FILE)) if place.is_dir() else (place,)
    yield from sorted((paths.home() / "methods").rglob(FILE))
