"""Which file of a run folder is where (see :mod:`bench.records`), and the order a worker gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bench.errors import RecordError
from bench.records import CellKey


@dataclass(frozen=True)
class RunFolder:
    """A run folder's own files."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the run that is at work here, and by its workers."""
        return self.root / ".lock"

    @property
    def plan(self) -> Path:
        """The plan: what was asked for."""
        return self.root / "run.json"

    def cell(self, key: CellKey) -> CellFolder:
        """The folder of one cell."""
        return CellFolder(self.root / "cells" / key.name)

    def ground_truth(self, subject: str) -> Path:
        """The subject's test frames as a video to watch."""
        return self.root / "ground_truth" / f"{subject}.mp4"


@dataclass(frozen=True)
class CellFolder:
    """One cell's files. What a kill leaves half done has a name that starts with a dot."""

    root: Path

    @property
    def record(self) -> Path:
        """Written last: where it is, the cell is over."""
        return self.root / "record.json"

    @property
    def job(self) -> Path:
        """What the cell's files were made from (:class:`Origin`)."""
        return self.root / "job.json"

    @property
    def log(self) -> Path:
        """Everything the cell printed, all sessions."""
        return self.root / "log.txt"

    @property
    def checkpoint(self) -> Path:
        """What the method's training wrote."""
        return self.root / "checkpoint"

    @property
    def trained(self) -> Path:
        """Proof that training is over, with the checkpoint's hash and the time it took."""
        return self.checkpoint / "done.json"

    @property
    def steps(self) -> Path:
        """Running log of the training, one JSON line a step; read again when training is resumed."""
        return self.root / "training.jsonl"

    @property
    def halvings(self) -> Path:
        """How often the batch was halved so far (:mod:`bench.run.memory`), while training lasts."""
        return self.root / "halvings.json"

    @property
    def training(self) -> Path:
        """The same as a table, once training is over."""
        return self.root / "training.csv"

    @property
    def pictures(self) -> Path:
        """Folder of training pictures."""
        return self.root / "training"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, one folder a stage, where they were asked for."""
        return self.root / "tensorboard"

    @property
    def frames(self) -> Path:
        """The rendered test frames, bit-exact."""
        return self.root / "frames.mkv"

    @property
    def rendered(self) -> Path:
        """Proof of the frames (:class:`bench.run.proofs.Rendered`)."""
        return self.root / "rendered.json"

    @property
    def audit(self) -> Path:
        """Folder of the ground-truth audit."""
        return self.root / "audit"

    @property
    def audited(self) -> Path:
        """Proof of the audit (:class:`bench.run.proofs.Proof`)."""
        return self.root / "audited.json"

    @property
    def preview(self) -> Path:
        """The rendered test frames, to watch."""
        return self.root / "preview.mp4"

    @property
    def per_frame(self) -> Path:
        """Hash and scores of each test frame."""
        return self.root / "frames.parquet"


class Job(BaseModel):
    """One cell's work order: all that its process needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: CellKey
    run: Path
    subject_root: Path
    subject_hash: str
    device: str
    metrics: tuple[str, ...]
    detector: str
    protocol: str = "neutral"
    """A name of :mod:`bench.protocol`."""
    profile: bool = False
    """Whether to measure the parts of training steps (:mod:`bench.parts`). It is no reason to do a cell again."""
    log: Literal["", "tensorboard"] = ""
    """What else training is logged to. It is no reason either."""
    code: str = ""
    """Version of the method's code (:func:`bench.registry.code`): with another, what is trained is kept, and rendered again."""
    load: Path | None = None
    """A checkpoint folder to render instead of training."""
    load_hash: str = ""
    """Of that folder (:func:`bench.hashes.hash_folder`)."""

    @property
    def folder(self) -> CellFolder:
        """Where the cell's files go."""
        return RunFolder(self.run).cell(self.cell)

    @property
    def origin(self) -> Origin:
        """What the cell's files will be made from."""
        return Origin(
            cell=self.cell, subject_hash=self.subject_hash, subject_root=self.subject_root, loaded=self.load_hash
        )


class Origin(BaseModel):
    """What a cell's files were made from, as its ``job.json`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: CellKey
    subject_hash: str
    subject_root: Path | None = None
    """Where the subject was; None: an older version wrote the file."""
    loaded: str = ""
    """Hash of the checkpoint that was given; empty: it was trained."""

    @staticmethod
    def read(path: Path) -> Origin:
        """Read ``job.json``.

        Raises:
            RecordError: missing, not JSON, or something else.
        """
        try:
            return Origin.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise RecordError(f"{path} can't be read ({str(error).splitlines()[0]}); run the cell again") from error

    def same_files(self, other: Origin) -> bool:
        """Whether both are made from the same files, wherever these lie."""
        return (self.cell, self.subject_hash, self.loaded) == (other.cell, other.subject_hash, other.loaded)
