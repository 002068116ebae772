"""Records: what a run leaves behind, as strict JSON. Everything the report shows is read from here.

A run folder::

    run.json                        Plan: the cells, the command, the machine
    cells/<cell>/record.json        Record: written atomically once all of the cell is done
                 frames.parquet     one row a test frame: id, sha256, psnr, psnr_face, ssim, … (NaN where absent)
                 frames.mkv         rendered test frames, FFV1 (bit-exact)
                 preview.mp4        the same, H.264, with sound
                 training.csv       stage, step, seconds and the scalars a method logged
                 training/*.jpg     training pictures
                 audit/             what of which frame was copied from the ground truth (bench.audit)
                 checkpoint/        safetensors + JSON
                 tensorboard/       event files, with `bench run --log tensorboard`
                 inspection/        what `bench inspect` drew of the checkpoint
                 log.txt            everything the cell printed
    ground_truth/<subject>.mp4      the subject's test frames, H.264, with sound, for the report
    report/index.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import RecordError
from bench.paths import write_text

Status = Literal["ok", "failed", "invalid"]
Backend = Literal["native", "official", "docker", "command"]
"""Where a method's code runs: a plugin; the authors' own code in a container; another container; a command of the host."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CellKey(_Strict):
    """What makes a cell one of a kind."""

    method: str
    variant: str = ""
    backend: Backend = "native"
    subject: str
    preset: str
    seed: int

    @property
    def label(self) -> str:
        """The method as it is written on the command line and in tables: ``degstalk``, ``degstalk[-E]``, ``degstalk@official``."""
        method = self.method + (f"[{self.variant}]" if self.variant else "")
        return method if self.backend == "native" else f"{method}@{self.backend}"

    @property
    def name(self) -> str:
        """Folder name, also shown to people: ``degstalk[-E]--ada--quick--s0``."""
        return f"{self.label}--{self.subject}--{self.preset}--s{self.seed}"


class MetricRecord(_Strict):
    """One measure of one cell."""

    value: float | None
    """None unless ``state`` is ok."""
    state: Literal["ok", "identical", "undefined", "absent", "invalid"] = "ok"
    """``identical``: prediction equals ground truth, so PSNR is infinite; the others: :class:`bench.metrics.MetricResult`."""
    reason: str | None = None
    unit: str = ""
    higher_is_better: bool = True
    signature: str = ""
    n: tuple[int, int] = (0, 0)
    """(frames scored, frames expected)"""
    ci95: tuple[float, float] | None = None
    """Block-bootstrap interval over time, within this cell."""
    regions: dict[str, float | None] = Field(default_factory=dict)
    """The same measure in the whole frame (``full``) and within ``face``, ``mouth``, ``hair`` …, where it has been taken."""
    regions_ci95: dict[str, tuple[float, float] | None] = Field(default_factory=dict)


class Fps(_Strict):
    """Frames per second; render only is the median over frames after warm-up."""

    render: float | None = None
    render_p95_ms: float | None = None
    end_to_end: float | None = None
    """Test split, conditioning and conversion to uint8 included, encoding not."""


class StageProfile(_Strict):
    """Where the time of one stage's steps went (:mod:`bench.parts`)."""

    steps: int
    """Steps measured; of a training that was interrupted, only those of its last session."""
    milliseconds: dict[str, float]
    """Mean per step by part, ``other`` last: what no part claims. Together they are the time of a step, saving included."""


class Record(_Strict):
    """One cell, finished or failed."""

    schema_version: Literal[1] = 1
    cell: CellKey
    status: Status
    error: str | None = None
    metrics: dict[str, MetricRecord] = Field(default_factory=dict)
    copied_share: float | None = None
    """Share of the picture that was taken from the test frame (0–1, :mod:`bench.audit`); None: not audited."""
    fps: Fps = Fps()
    train_seconds: dict[str, float] = Field(default_factory=dict)
    """``total`` and one entry a stage; of finished work only, over all resumed sessions."""
    profile: dict[str, StageProfile] = Field(default_factory=dict)
    """By stage, those with steps; empty unless the cell was trained with ``--profile``."""
    peak_memory_bytes: int | None = None
    frames: int = 0
    size: tuple[int, int] = (0, 0)
    sees: list[str] = Field(default_factory=list)
    canvas: str = ""
    kind: str = ""
    provenance: dict[str, str] = Field(default_factory=dict)
    """Subject hash, checkpoint hash, frames hash, audio kind, protocol with version, detector …"""
    hardware: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    """Which library computed what, as the method says: ``{"rasteriser": "gsplat 1.5.3"}``."""
    started: str = ""
    seconds: float = 0.0


class Plan(_Strict):
    """A run: what was asked for."""

    schema_version: Literal[1] = 1
    cells: list[CellKey]
    references: list[CellKey] = Field(default_factory=list)
    """Floors and ceilings that the run added by itself; they are among ``cells``."""
    device: str = "cpu"
    protocol: str = "neutral"
    command: str = ""
    created: str = ""
    hardware: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


def save(path: Path, model: BaseModel) -> None:
    """Write a record or plan atomically."""
    write_text(path, model.model_dump_json(indent=1) + "\n")


def load_record(path: Path) -> Record:
    """Read ``record.json``.

    Raises:
        RecordError: missing, not JSON, or not a record; the message says which file to remove.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RecordError(f"{path} is not a readable record ({_first(error)}); remove it and run again") from error


def load_plan(run: Path) -> Plan:
    """Read ``run.json`` of a run folder."""
    path = run / "run.json"
    try:
        return Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RecordError(f"{run} is not a run folder: it has no run.json") from error
    except (OSError, ValidationError) as error:
        raise RecordError(f"{path} is not a readable plan ({_first(error)})") from error


def _first(error: OSError | ValidationError) -> str:
    text = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
    return text.splitlines()[0]
