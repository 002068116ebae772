"""One cell from beginning to end: train → load → render → audit → score → record. Each step's result is on disk before the next.

Killed anywhere, it goes on where it was: training is the method's to resume, a finished checkpoint is proved by its
hash, and what comes after training is done again from it.
"""

from __future__ import annotations

import inspect
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from bench import protocol, records, registry, system
from bench.checkpoints import Trained
from bench.contract import Method, named_libraries
from bench.errors import RecordError
from bench.paths import atomic_file, write_text
from bench.records import Fps, MetricRecord, Record
from bench.run.environment import plugin_source
from bench.run.imports import import_limit
from bench.run.layout import CellFolder, Job, Origin
from bench.run.progress import Emit
from bench.run.proofs import Rendered
from bench.run.rendering import copied_share, recipe, render, unaudited
from bench.run.scores import rescore
from bench.run.training import train
from bench.subject import Subject


def run_cell(job: Job, emit: Emit) -> Record:
    """Do the cell and write its record.

    Raises:
        BenchError: it can't be done; the message says why. Whatever a plugin raises comes through as it is.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    subject, folder = Subject(job.subject_root), job.folder
    with import_limit(job.cell.label, emit):
        method = registry.get(job.cell.method, job.cell.variant, job.cell.backend)
    libraries = named_libraries(method, job.device)
    _prepare(folder, job)
    trained = train(method, subject, job, emit)
    made_from = recipe(job, trained.sha256)
    rendered = render(method, subject, job, made_from, emit)
    copied = copied_share(method, subject, job, made_from, emit)
    scores = _score(subject, job, rendered, emit)
    own_process = job.cell.backend == "native"
    invalid = [f"{name}: {m.reason}" for name, m in scores.items() if m.state == "invalid"]
    record = Record(
        cell=job.cell,
        status="invalid" if invalid else "ok",
        error="; ".join(invalid) or None,
        metrics=scores,
        copied_share=copied,
        fps=_fps(method, rendered),
        train_seconds=trained.seconds,
        profile=trained.profile,
        peak_memory_bytes=max(trained.peak_memory_bytes, rendered.peak_memory_bytes) if own_process else None,
        frames=len(subject.test_ids),
        size=subject.size,
        sees=sorted(method.info.sees),
        canvas=method.info.canvas,
        kind=method.info.kind,
        provenance=_provenance(method, job, subject, trained, rendered),
        hardware=system.worker_hardware(),
        versions=system.versions(),
        libraries=libraries,
        started=started.isoformat(timespec="seconds"),
        seconds=time.perf_counter() - clock,
    )
    records.save(folder.record, record)
    return record


def _fps(method: Method, rendered: Rendered) -> Fps:
    """Copying a picture isn't rendering; a program hands all its frames over at once, so that only the whole has a speed."""
    if method.info.kind == "reference":
        return Fps()
    if method.info.backend == "native":
        return rendered.fps
    return Fps(end_to_end=rendered.fps.end_to_end)


def _provenance(method: Method, job: Job, subject: Subject, trained: Trained, rendered: Rendered) -> dict[str, str]:
    found = {
        "subject": job.subject_hash,
        "checkpoint": trained.sha256,
        "frames": rendered.root,
        "audio": subject.audio_kind,
        "detector": job.detector,
        "device": job.device,
        "protocol": protocol.get(job.protocol).id,
        "loaded": job.load_hash,
        "code": job.code,
        "training code": (trained.code or "unknown") if trained.code != job.code else "",
        "batch": f"1/{2**trained.halvings}: memory ran out" if trained.halvings else "",
        "not audited": unaudited(method, job),
    }
    return {name: value for name, value in found.items() if value} | plugin_source(_file(method))


def _file(method: Method) -> Path:
    """Where a method's code is: its module, or a program's TOML."""
    program = getattr(method, "found", None)
    return Path(program.path) if program else Path(inspect.getfile(type(method)))


def _prepare(folder: CellFolder, job: Job) -> None:
    """Make the cell's folder ready: what was made from another subject goes, and so does what a kill left half done."""
    if folder.job.exists() and not _made_from(folder, job.origin):
        print(f"{folder.root}: made from other files, so it is done again")
        for entry in folder.root.iterdir():
            if entry != folder.log:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for leftover in list(folder.root.rglob(".*")):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    write_text(folder.job, job.origin.model_dump_json())


def _made_from(folder: CellFolder, origin: Origin) -> bool:
    try:
        return Origin.read(folder.job).same_files(origin)
    except RecordError:
        return False


def _score(subject: Subject, job: Job, rendered: Rendered, emit: Emit) -> dict[str, MetricRecord]:
    """Scores by metric; single frames' hashes and values go into the cell's table."""
    emit({"event": "stage", "stage": "score", "total": len(subject.test_ids)})
    scores, table = rescore(
        job.folder, subject, protocol.get(job.protocol), metrics=job.metrics, detector=job.detector, device=job.device,
        progress=lambda done, _: emit({"event": "step", "done": done, "scalars": {}}),
    )  # fmt: skip
    table.insert(1, "sha256", rendered.frames)
    with atomic_file(job.folder.per_frame) as temporary:
        table.to_parquet(temporary, index=False)
    return scores
