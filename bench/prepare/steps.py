"""What a step of ``bench data prepare`` is, and the runner that skips what is already made.

A step leaves a stamp ``.prepare/<step>.json`` in the subject folder: a fingerprint of everything it depends on (its
options, the contents of its input files, its own source, the fingerprints of the steps before it) and what it made. A
stamp that fits and whose files are still there means: skip. Before a step starts, its stamp says "running"; a step
killed half-way finds its finished files again, because each file is written atomically.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import DataError
from bench.paths import write_text

LOCK = "lock"
"""Name of the empty file in the work folder that a run holds."""
T = TypeVar("T")
Track = Callable[[Iterable[T], str, int | None], Iterable[T]]
"""Progress bar: (items, description, how many or unknown) → the same items."""


@dataclass(frozen=True)
class Options:
    """What the user asked for; every field is a flag of ``bench data prepare``."""

    video: Path
    name: str
    out: Path
    poses: Path | None = None
    parser: Path | None = None
    """A model file, ``auto`` (as None: the best that is here) or ``mesh`` (the offline one)."""
    size: int | None = None
    """Width of the frames in pixels; 0 keeps the square's, None does so up to 512."""
    crop: str = "auto"
    """``auto``: the square around head and shoulders; ``none``: the whole picture."""
    focal: float | None = None
    """Focal length in pixels of a picture ``focal_at`` wide; None takes the poses file's, or finds it."""
    focal_at: float | None = None
    """Width in pixels of the whole picture that the focal length belongs to; None: the poses file's convention, else the
    video's width."""
    au: Path | None = None
    background: Path | None = None
    coefficients: Path | None = None
    features: Path | None = None


@dataclass(frozen=True)
class Job:
    """One preparation: its options and where things go."""

    options: Options
    track: Track[Any]

    @property
    def root(self) -> Path:
        """The subject folder."""
        return self.options.out

    @property
    def work(self) -> Path:
        """Stamps and intermediate files; safe to delete once the subject is made."""
        return self.root / ".prepare"

    def image(self, frame_id: int) -> Path:
        """Path of a frame."""
        return self.root / f"ori_imgs/{frame_id}.jpg"

    @property
    def frames(self) -> int:
        """How many frames the frames step made."""
        return int(self.facts("frames")["frames"])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        width, height = self.facts("frames")["size"]
        return int(width), int(height)

    def facts(self, step: str) -> dict[str, Any]:
        """What a finished step said of itself."""
        return dict(self.stamp(step)["facts"])

    def stamp(self, step: str) -> dict[str, Any]:
        """A finished step's stamp: summary, provenance, facts, seconds."""
        return _read(self.work / f"{step}.json")

    @property
    def train(self) -> int:
        """How many frames, from the first, train: 10 of 11 (spec_degstalk §2.10)."""
        return self.frames * 10 // 11


@dataclass(frozen=True)
class Made:
    """What a step made."""

    summary: str
    """One line for the user."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """File of the subject folder → what made it; goes into subject.json."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Figures that later steps or ``--json`` want."""


@dataclass(frozen=True)
class Step:
    """One step: ``run`` makes the files that ``globs`` match."""

    name: str
    run: Callable[[Job], Made]
    globs: tuple[str, ...]
    """Relative to the subject folder."""
    needs: tuple[str, ...] = ()
    """Names of the steps whose files are read."""
    sometimes: Callable[[Options], tuple[str, ...]] = lambda options: ()
    """The same, where that depends on the options."""
    inputs: Callable[[Options], Mapping[str, Any]] = lambda options: {}
    """Options that matter; a Path counts with its contents."""

    def needed(self, options: Options) -> tuple[str, ...]:
        """All steps whose files are read."""
        return self.needs + self.sometimes(options)


@dataclass(frozen=True)
class Done:
    """How a step ended."""

    name: str
    made: Made
    seconds: float
    kept: bool
    """True: nothing had to be done."""


def _read(stamp: Path) -> dict[str, Any]:
    try:
        data = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent or broken: the step runs again
        return {}
    return data if isinstance(data, dict) else {}


def _digest(value: Any) -> Any:
    if not isinstance(value, Path):
        return value
    with value.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(step: Step, options: Options, before: Mapping[str, str]) -> str:
    """Hash of all that decides what the step makes. ``before``: fingerprints of the steps run so far."""
    parts = {
        "code": _digest(Path(inspect.getfile(step.run))),
        "inputs": {key: _digest(value) for key, value in step.inputs(options).items()},
        "needs": [before[name] for name in step.needed(options)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _count(root: Path, globs: Iterable[str]) -> dict[str, int]:
    return {pattern: sum(1 for _ in root.glob(pattern)) for pattern in globs}


def sweep(root: Path) -> None:
    """Remove what a run left half-written: files with hidden names where it was killed (:func:`bench.paths.atomic_file`),
    empty ones where the power was cut before a step's end."""
    for path in root.rglob("*"):
        if path.is_file() and path.name != LOCK and (path.name.startswith(".") or not path.stat().st_size):
            path.unlink()


def run_step(step: Step, job: Job, mark: str) -> Done:
    """Run a step unless its stamp carries ``mark`` and its files are there.

    Raises:
        DataError: the step's own, or the disk is full or not writable.
    """
    stamp = job.work / f"{step.name}.json"
    old = _read(stamp)
    if old.get("mark") == mark and old.get("state") == "done" and old["files"] == _count(job.root, step.globs):
        return Done(step.name, Made(old["summary"], old["provenance"], old["facts"]), 0.0, kept=True)
    start = time.perf_counter()
    try:
        if old.get("mark") != mark:
            for path in (path for pattern in step.globs for path in job.root.glob(pattern)):
                path.unlink()
            write_text(stamp, json.dumps({"mark": mark, "state": "running"}))
        made = step.run(job)
        files = _count(job.root, step.globs)
        os.sync()  # before it says "done"; each of a step's many files on its own would wait for the disk
        seconds = time.perf_counter() - start
        told = {"mark": mark, "state": "done", "files": files, "seconds": round(seconds, 3), **asdict(made)}
        write_text(stamp, json.dumps(told, indent=1))
    except OSError as error:
        raise DataError(
            f"{step.name} step: {error.filename or job.root}: {error.strerror or error}; free space or choose another --out"
        ) from error
    return Done(step.name, made, seconds, kept=False)
