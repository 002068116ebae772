"""Everything that can be wrong with a run is found here, before any of it starts; whether it fits: :mod:`bench.run.budget`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from PIL import Image

from bench import catalogue, checkpoints, landmarks, metrics, protocol, records, registry, system, weights
from bench.contract import PRESETS
from bench.errors import AbsentError, DataError, RecordError, UsageError, unknown
from bench.hashes import hash_folder
from bench.landmarks import DETECTORS
from bench.records import CellKey, Plan
from bench.run import index, tensorboard
from bench.run.layout import CellFolder, Job, RunFolder
from bench.run.plan import Chosen, cells, chosen_methods, default_name, parse_choice
from bench.subject import Subject

_OURS = {".lock", ".locks", ".slurm", "cells", "ground_truth", "report", index.NAME}
"""What may lie in a run folder whose plan was removed."""

REFERENCES = ("mean-frame", "codec", "copy-gt")
"""The floor and the ceilings that stand in every table: a still picture, what storing as video costs, the truth itself."""


@dataclass(frozen=True)
class Request:
    """A run as asked for on the command line."""

    methods: Sequence[str]
    subjects: Sequence[str]
    """Names or paths; ``all``; empty for the embedded ones."""
    preset: str = "quick"
    seeds: Sequence[int] = (0,)
    protocol: str = protocol.DEFAULT
    metrics: Sequence[str] = ()
    """Empty: the protocol's."""
    detector: str | None = None
    """None: the protocol's."""
    references: bool = True
    """Whether to add :data:`REFERENCES`."""
    device: str = "auto"
    out: Path | None = None
    command: str = ""
    profile: bool = False
    """Whether training is measured part by part."""
    log: Literal["", "tensorboard"] = ""
    """What else training is logged to."""
    load: Path | None = None
    """A checkpoint that is rendered instead of training."""


@dataclass(frozen=True)
class Prepared:
    """A run that can start."""

    run: RunFolder
    plan: Plan
    jobs: list[Job]
    notes: list[str]
    """What the user should know, such as a metric that will be absent."""
    offline: bool
    """Fetching was tried and failed: workers needn't try again."""


def prepare(request: Request) -> Prepared:
    """Check every name, file and resource that the run needs, and lay it out. Writes nothing into the run folder.

    Raises:
        UsageError: an unknown name, or a request that can't be.
        DataError: a subject is broken.
        AbsentError: CUDA or TensorBoard is asked for and isn't here (for programs: :func:`require_programs`).
    """
    if request.preset not in PRESETS:
        raise unknown("preset", request.preset, PRESETS)
    rules = protocol.get(request.protocol)
    detector = request.detector or rules.detector
    if detector not in DETECTORS:
        raise unknown("landmark detector", detector, DETECTORS)
    scored = tuple(metrics.get(name).name for name in dict.fromkeys(request.metrics or rules.metrics))
    methods = chosen_methods(request.methods, request.preset)
    if request.log:
        tensorboard.require()
    device = system.pick_device(request.device)
    subjects = _subjects(request.subjects)
    hashes = {name: catalogue.subject_hash(subject) for name, subject in subjects.items()}
    keys = cells([one.choice for one in methods], subjects, request.preset, dict.fromkeys(request.seeds))
    if not keys:
        raise UsageError("nothing to run: name at least one method, one subject and one seed")
    _check_seeds(keys)
    load, load_hash = _published(request.load, methods[0], keys)
    name = default_name(keys, device, rules.id, *hashes.values(), *filter(None, [load_hash]))
    references = _references(request, list(subjects), keys)
    keys += references
    added = frozenset(references)
    run = RunFolder((request.out or Path("runs") / name).absolute())
    jobs = [
        Job(
            cell=key, run=run.root, subject_root=subjects[key.subject].root, subject_hash=hashes[key.subject], device=device,
            metrics=scored, detector=detector, protocol=request.protocol,
            profile=request.profile, log=request.log,
            code=registry.code(key.method, key.backend),
            load=None if key in added else load, load_hash="" if key in added else load_hash,
        )
        for key in keys
    ]  # fmt: skip
    plan = _plan(run, keys, references, device, request)
    missing = _missing_weights(scored)
    broken = [f"{one.broken}: its cells will fail" for one in methods if one.broken]
    notes = broken + missing + _missing_detector(scored, detector)
    return Prepared(run, plan, jobs, notes, offline=bool(missing))


def require_programs(jobs: Iterable[Job]) -> None:
    """Raise unless this machine has what the programs among the cells need (plugins bring their own).

    Raises:
        AbsentError: no container engine, image, GPU or licensed file, or a subject lacks what a program reads.
    """
    for job in jobs:
        if job.cell.backend != "native":
            program = registry.program(job.cell.method, job.cell.backend)
            program.require(job.device)
            if lacking := program.lacking(Subject(job.subject_root)):
                raise AbsentError(f"{program.label}: {'; '.join(lacking)}")


def _published(load: Path | None, method: Chosen, keys: Sequence[CellKey]) -> tuple[Path | None, str]:
    """The checkpoint folder to be rendered, and its hash."""
    if load is None:
        return None, ""
    if len(keys) != 1:
        raise UsageError(
            f"--load renders one checkpoint: name one method, one subject and one seed, not {len(keys)} cells"
        )
    if method.info and not method.info.trains:
        raise UsageError(f"--load: {keys[0].label} has nothing to train, so it has no checkpoints")
    inner = CellFolder(load)
    folder = (inner.checkpoint if inner.trained.exists() else load).absolute()
    if not folder.is_dir() or not any(folder.iterdir()):
        raise UsageError(f"--load {load}: no checkpoint folder there")
    proof = CellFolder(folder.parent).trained.name
    if (folder / proof).exists():
        checkpoints.proved(folder)
    return folder, hash_folder(folder, without={proof})


def _subjects(names: Sequence[str]) -> dict[str, Subject]:
    """Subjects by their own names."""
    if "all" in names:
        names = catalogue.here()
    elif not names:
        names = catalogue.defaults()
    found: dict[str, Subject] = {}
    for name in dict.fromkeys(names):
        subject = catalogue.resolve(name)
        _check_sizes(subject)
        other = found.setdefault(subject.name, subject)
        if other.root != subject.root:
            raise UsageError(
                f"{other.root} and {subject.root} are both called {subject.name!r}: run them one after the other"
            )
    return found


def _check_seeds(keys: Sequence[CellKey]) -> None:
    """Several seeds of a program that takes none would be one training counted several times."""
    for key in keys:
        if (
            key.backend != "native"
            and key.seed != keys[0].seed
            and not registry.program(key.method, key.backend).spec.seeded
        ):
            raise UsageError(f"{key.label} takes no seed (no {{seed}} in its training commands): run it with one seed")


def _check_sizes(subject: Subject) -> None:
    """Every frame and class map has the subject's size; only their heads are read."""
    for frame_id in subject.ids:
        for path in (subject.root / f"ori_imgs/{frame_id}.jpg", subject.root / f"parsing/{frame_id}.png"):
            try:
                with Image.open(path) as image:
                    size = image.size
            except (OSError, SyntaxError) as error:
                raise DataError(f"{path} can't be read ({error}); make it with `bench data prepare`") from error
            if size != subject.size:
                found, expected = (f"{width}×{height}" for width, height in (size, subject.size))
                raise DataError(f"{path} is {found}, frames are {expected}; make it with `bench data prepare`")


def _references(request: Request, subjects: list[str], asked: list[CellKey]) -> list[CellKey]:
    """A cell of each reference for each subject, but those asked for anyway."""
    if not request.references:
        return []
    methods = [name for name in REFERENCES if request.preset in registry.info(name).presets]
    choices = [parse_choice(name) for name in methods]
    have = frozenset(asked)
    return [key for key in cells(choices, subjects, request.preset, request.seeds[:1]) if key not in have]


def _plan(run: RunFolder, keys: list[CellKey], references: list[CellKey], device: str, request: Request) -> Plan:
    """The plan, with the cells of an earlier one in the same folder: a run folder can grow."""
    earlier: Plan | None = None
    if run.plan.exists():
        try:
            earlier = records.load_plan(run.root)
        except RecordError as error:
            raise RecordError(f"{error}; remove it (finished cells are kept) and run again") from error
        if (earlier.device, earlier.protocol) != (device, request.protocol):
            begun = f"on {earlier.device} under protocol {earlier.protocol}"
            raise UsageError(f"{run.root} was begun {begun}: use another --out for {device}, {request.protocol}")
    elif run.root.exists() and not (run.root.is_dir() and {p.name for p in run.root.iterdir()} <= _OURS):
        raise UsageError(f"{run.root} exists and is not a run folder: use another --out")
    added = [*(earlier.references if earlier else ()), *references]
    asked = frozenset(keys).difference(references)
    return Plan(
        cells=list(dict.fromkeys([*(earlier.cells if earlier else ()), *keys])),
        references=[key for key in dict.fromkeys(added) if key not in asked],
        device=device,
        protocol=request.protocol,
        command=request.command,
        created=earlier.created if earlier else datetime.now(UTC).isoformat(timespec="seconds"),
        hardware=system.hardware(),
        versions=system.versions(),
    )


def _missing_detector(chosen: Sequence[str], detector: str) -> list[str]:
    """One line if the protocol's or user's landmark detector can't be had; the default one always can."""
    needing = [metrics.get(name).label for name in chosen if metrics.get(name).may_skip]
    if not needing or detector == "mediapipe":
        return []
    try:
        landmarks.get(detector)
    except AbsentError as error:
        reason = " ".join(str(error).split())
        return [f"{', '.join(needing)} will be absent: {reason}; --detector mediapipe gives other numbers"]
    return []


def _missing_weights(chosen: Sequence[str]) -> list[str]:
    """Fetch LPIPS's network now, not in the middle; one line if it can't be had."""
    if "lpips" not in chosen:
        return []
    try:
        weights.require("lpips-alex")
    except AbsentError as error:
        return [f"LPIPS will be absent: {' '.join(str(error).split())}"]
    return []
