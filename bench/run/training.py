"""A cell's first stage: a checkpoint, trained or given, with its proof."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from bench.checkpoints import Trained, proved
from bench.contract import Adopts, Method, TrainTask
from bench.errors import RecordError
from bench.hashes import hash_folder
from bench.parts import Parts, recording
from bench.paths import write_text
from bench.run import tensorboard
from bench.run.device import peak_memory
from bench.run.layout import CellFolder, Job
from bench.run.memory import with_halvings
from bench.run.progress import Emit, TrainingProgress
from bench.subject import Subject

CHANGED = "checkpoint.changed"
"""Where a checkpoint goes that isn't what its proof says."""


def train(method: Method, subject: Subject, job: Job, emit: Emit) -> Trained:
    """Train to the end, going on where an earlier session stopped; a finished checkpoint is kept.

    Raises:
        RecordError: a checkpoint that was given changed while it was copied. Whatever the plugin raises comes through as it is.
    """
    folder = job.folder
    if kept := _kept(folder):
        return kept
    folder.checkpoint.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    halvings = 0
    parts = Parts(_synchroniser(job.device)) if job.profile else None
    if job.load:
        _adopt(method, job, job.load)
    elif method.info.trains:
        resumed = folder.steps.exists()
        progress = TrainingProgress(folder, emit, parts=parts)
        logged = tensorboard.beside(progress, folder, resumed) if job.log else nullcontext(progress)
        key = job.cell
        with recording(parts) if parts else nullcontext(), logged as told:
            halvings = with_halvings(
                method.info, key.preset, folder.halvings,
                lambda count: method.train(
                    TrainTask(subject.for_training(), folder.checkpoint, key.preset, key.seed, job.device, told, count)  # type: ignore[arg-type]  # the plan checked the preset
                ),
            )  # fmt: skip
        seconds = progress.finish()
    trained = Trained(
        sha256=hash_folder(folder.checkpoint), seconds=seconds, peak_memory_bytes=peak_memory(job.device),
        profile=parts.profile() if parts else {}, code=job.code, halvings=halvings,
    )  # fmt: skip
    write_text(folder.trained, trained.model_dump_json(indent=1) + "\n")
    folder.steps.unlink(missing_ok=True)
    folder.halvings.unlink(missing_ok=True)
    return trained


def _kept(folder: CellFolder) -> Trained | None:
    """A finished checkpoint; one that was changed is put aside, with a word in the log."""
    if not folder.trained.exists():
        return None
    try:
        return proved(folder.checkpoint)
    except RecordError as error:
        aside = folder.root / CHANGED
        shutil.rmtree(aside, ignore_errors=True)
        folder.checkpoint.rename(aside)
        print(f"{error}. It was put aside as {aside.name}, and is trained again")
        return None


def _adopt(method: Method, job: Job, published: Path) -> None:
    """Take a checkpoint that was trained elsewhere for the cell's own."""
    checkpoint, proof = job.folder.checkpoint, job.folder.trained.name
    shutil.copytree(published, checkpoint, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns(proof))
    if hash_folder(checkpoint) != job.load_hash:
        raise RecordError(f"{published} was changed while it was copied: run again")
    if isinstance(method, Adopts):
        method.adopt(checkpoint, job.cell.preset, job.cell.seed)


def _synchroniser(device: str) -> Callable[[], None] | None:
    """What waits for the work that was handed to ``device``; None where work is done when its call returns."""
    if not device.startswith("cuda"):
        return None
    import torch

    return lambda: torch.cuda.synchronize(device)
