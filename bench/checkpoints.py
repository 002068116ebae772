"""Opening a trained checkpoint again, outside its run: which method made it, from which subject, and that nothing was changed since.

For the verbs that take a CHECKPOINT: a cell's folder of a run, its ``checkpoint/`` folder, or a checkpoint folder anywhere.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench import catalogue, records, registry
from bench.contract import Method
from bench.errors import BenchWarning, DataError, RecordError, UsageError
from bench.hashes import hash_folder
from bench.records import CellKey, StageProfile
from bench.run.layout import CellFolder, Origin, RunFolder
from bench.run.plan import parse_choice
from bench.subject import Subject

_PROOF = "done.json"


class Trained(BaseModel):
    """A finished checkpoint, as its ``done.json`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    """Of the checkpoint folder without ``done.json`` (:func:`bench.hashes.hash_folder`)."""
    seconds: dict[str, float]
    peak_memory_bytes: int
    profile: dict[str, StageProfile] = {}
    halvings: int = 0
    """How often the batch was halved, because memory ran out."""
    code: str = ""
    """Version of the method's code (:func:`bench.registry.code`) that finished the training; empty: an older version of talkbench's."""


@dataclass(frozen=True)
class Opened:
    """A checkpoint with all that rendering from it needs."""

    method: Method
    """As the variant that was trained."""
    key: CellKey | None
    """Its cell; None for a checkpoint outside a run."""
    checkpoint: Path
    """The folder that :meth:`bench.contract.Method.load` takes."""
    subject: Subject
    audio_kind: str
    """``mel``, ``ds`` or ``hu``: features it was trained with. Outside a run, those of the subject."""

    @property
    def label(self) -> str:
        """The method as it is written on the command line; without its variant outside a run."""
        return self.key.label if self.key else self.method.info.name


def open_checkpoint(path: Path, *, method: str = "", subject: str = "") -> Opened:
    """Find out what ``path`` is, open its method and subject, and prove it by its hashes. Imports the method, loads no model.

    Args:
        path: a cell's folder, its ``checkpoint/`` folder, or a checkpoint folder outside a run.
        method: ``degstalk[-E]``; needed outside a run, where it can't be read from the cell.
        subject: name or folder; needed outside a run. For a cell it takes the place of the cell's own subject; one with
            other files is warned of (:class:`bench.errors.BenchWarning`).

    Raises:
        UsageError: no such folder, a whole run's, an unknown name, or ``method`` and ``subject`` are needed.
        DataError: the subject's folder is broken.
        RecordError: training isn't finished, or checkpoint or subject are not what they were then.
    """
    if not path.is_dir():
        raise UsageError(f"no checkpoint folder {path}: name a cell's folder, such as RUN/cells/CELL")
    if RunFolder(path).plan.exists():
        cells = sorted(p.name for p in (path / "cells").glob("*/"))
        example = f", such as {path / 'cells' / cells[0]}" if cells else ""
        raise UsageError(f"{path} is a whole run: name one of its cells{example}")
    for folder in (CellFolder(path), CellFolder(path.resolve().parent)):
        if (folder.root == path or folder.checkpoint == path.resolve()) and _is_cell(folder):
            return _of_cell(folder, method, subject)
    return _outside(path, method, subject)


def proved(checkpoint: Path) -> Trained:
    """What ``done.json`` of a checkpoint folder says, once its hash holds.

    Raises:
        RecordError: it can't be read, or the checkpoint was changed.
    """
    trained = read_proof(checkpoint)
    if hash_folder(checkpoint, without={_PROOF}) != trained.sha256:
        raise RecordError(f"{checkpoint} was changed after training; remove it to train again")
    return trained


def read_proof(checkpoint: Path) -> Trained:
    """What ``done.json`` of a checkpoint folder says; whether it is true, :func:`proved` knows.

    Raises:
        RecordError: it can't be read.
    """
    done = checkpoint / _PROOF
    try:
        return Trained.model_validate(json.loads(done.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{done} can't be read ({str(error).splitlines()[0]}); remove {checkpoint} to train again"
        ) from error


def _is_cell(folder: CellFolder) -> bool:
    return folder.record.exists() or folder.job.exists()


def _of_cell(folder: CellFolder, method: str, subject: str) -> Opened:
    record = records.load_record(folder.record) if folder.record.exists() else None
    origin = Origin.read(folder.job) if folder.job.exists() else None
    key = record.cell if record else origin.cell if origin else None
    assert key is not None  # _is_cell
    if method and method != key.label:
        raise UsageError(f"{folder.root} is a checkpoint of {key.label}, not of {method}: leave --method out")
    if not folder.trained.exists():
        raise RecordError(f"{folder.root} has no finished checkpoint: give its `bench run` command again")
    provenance = record.provenance if record else {}
    trained = proved(folder.checkpoint)
    if provenance.get("checkpoint", trained.sha256) != trained.sha256:
        raise RecordError(f"{folder.checkpoint} is not the checkpoint of {folder.record}: run the cell again")
    kept = provenance.get("subject") or (origin.subject_hash if origin else "")
    opened = _subject(key, origin.subject_root if origin else None, kept, subject)
    kind = provenance.get("audio") or opened.audio_kind
    return Opened(registry.get(key.method, key.variant, key.backend), key, folder.checkpoint, opened, kind)


def _subject(key: CellKey, root: Path | None, kept: str, asked: str) -> Subject:
    """The subject of a cell: the one asked for, or its own, which must be what it was (``kept``: its hash then)."""
    subject = catalogue.resolve(asked) if asked else _own(key, root)
    found = catalogue.subject_hash(subject)
    if found == kept:
        return subject
    words = f"{subject.root} (sha256 {found[:12]}…) is not the subject that {key.name} was trained on ({kept[:12]}…)"
    if not asked:
        raise RecordError(
            f"{words}: it was changed since; name another with --subject, or this one to use it all the same"
        )
    warnings.warn(words, BenchWarning, stacklevel=4)
    return subject


def _own(key: CellKey, root: Path | None) -> Subject:
    if root is not None and root.is_dir():
        return Subject(root)
    if key.subject in catalogue.entries():
        return catalogue.resolve(key.subject)
    was = f"at {root} any more" if root else "known by name here"
    raise DataError(f"subject {key.subject!r} of {key.name} is not {was}: name its folder with --subject")


def _outside(path: Path, method: str, subject: str) -> Opened:
    missing = [f"--{name}" for name, given in (("method", method), ("subject", subject)) if not given]
    if missing:
        raise UsageError(
            f"{path} is not in a run's folder, so what it was trained as isn't known: give {' and '.join(missing)} "
            "(such as --method 'degstalk[-E]' --subject ada)"
        )
    choice = parse_choice(method)
    found = registry.get(choice.name, choice.variant, choice.backend)
    opened = catalogue.resolve(subject)
    if (path / "done.json").exists():
        proved(path)
    else:
        warnings.warn(f"{path} has no done.json, so it can't be proved to be whole", BenchWarning, stacklevel=3)
    return Opened(found, None, path, opened, opened.audio_kind)
