"""One cell from beginning to end: train → load → render → audit → score → record. Each step's result is on disk before the next.

Killed anywhere, it goes on where it was: training is the method's to resume, a finished checkpoint is proved by its
hash, and what comes after training is done again from it.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import audit, protocol, records, registry, sound, system, video
from bench.checkpoints import Trained, proved
from bench.contract import Adopts, Method, NamesSource, Renderer, TrainTask, checked_frames, named_libraries
from bench.errors import RecordError
from bench.hashes import FramesHash, hash_folder
from bench.parts import Parts, recording
from bench.paths import atomic_file, write_text
from bench.pixels import quantised
from bench.records import Fps, MetricRecord, Record
from bench.run import tensorboard
from bench.run.given import Given
from bench.run.layout import CellFolder, Job, Origin, RunFolder
from bench.run.progress import Emit, TrainingProgress
from bench.run.scores import rescore
from bench.run.timing import RenderClock
from bench.subject import Subject


@dataclass(frozen=True)
class _Rendered:
    sha256: str
    """Over all frames."""
    frames: list[str]
    """Of each frame, in order."""
    fps: Fps
    peak_memory_bytes: int


def run_cell(job: Job, emit: Emit) -> Record:
    """Do the cell and write its record.

    Raises:
        BenchError: it can't be done; the message says why. Whatever a plugin raises comes through as it is.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    subject, folder = Subject(job.subject_root), job.folder
    method = registry.get(job.cell.method, job.cell.variant, job.cell.backend)
    libraries = named_libraries(method, job.device)
    _prepare(folder, job)
    trained = _train(method, subject, job, emit)
    rendered = _render(method, subject, job, emit)
    copied_share = _audit(method, subject, job, emit)
    scores = _score(subject, job, rendered, emit)
    own_process = job.cell.backend == "native"
    invalid = [f"{name}: {m.reason}" for name, m in scores.items() if m.state == "invalid"]
    record = Record(
        cell=job.cell,
        status="invalid" if invalid else "ok",
        error="; ".join(invalid) or None,
        metrics=scores,
        copied_share=copied_share,
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


def _fps(method: Method, rendered: _Rendered) -> Fps:
    """Copying a picture isn't rendering; a program hands all its frames over at once, so that only the whole has a speed."""
    if method.info.kind == "reference":
        return Fps()
    if method.info.backend == "native":
        return rendered.fps
    return Fps(end_to_end=rendered.fps.end_to_end)


def _provenance(method: Method, job: Job, subject: Subject, trained: Trained, rendered: _Rendered) -> dict[str, str]:
    found = {
        "subject": job.subject_hash,
        "checkpoint": trained.sha256,
        "frames": rendered.sha256,
        "audio": subject.audio_kind,
        "detector": job.detector,
        "device": job.device,
        "protocol": protocol.get(job.protocol).id,
        "loaded": job.load_hash,
        "not audited": _unaudited(method, job),
    }
    return {name: value for name, value in found.items() if value}


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


def _train(method: Method, subject: Subject, job: Job, emit: Emit) -> Trained:
    folder = job.folder
    if folder.trained.exists():
        return proved(folder.checkpoint)
    folder.checkpoint.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    parts = Parts(_synchroniser(job.device)) if job.profile else None
    if job.load:
        _adopt(method, job, job.load)
    elif method.info.trains:
        resumed = folder.steps.exists()
        progress = TrainingProgress(folder, emit, parts=parts)
        logged = tensorboard.beside(progress, folder, resumed) if job.log else nullcontext(progress)
        key = job.cell
        with recording(parts) if parts else nullcontext(), logged as told:
            method.train(
                TrainTask(subject.for_training(), folder.checkpoint, key.preset, key.seed, job.device, told)  # type: ignore[arg-type]  # the plan checked the preset
            )
        seconds = progress.finish()
    trained = Trained(
        sha256=hash_folder(folder.checkpoint), seconds=seconds, peak_memory_bytes=_peak_memory(job.device),
        profile=parts.profile() if parts else {},
    )  # fmt: skip
    write_text(folder.trained, trained.model_dump_json(indent=1) + "\n")
    folder.steps.unlink(missing_ok=True)
    return trained


def _adopt(method: Method, job: Job, published: Path) -> None:
    """Take a checkpoint that was trained elsewhere for the cell's own."""
    checkpoint, proof = job.folder.checkpoint, job.folder.trained.name
    shutil.copytree(published, checkpoint, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns(proof))
    if hash_folder(checkpoint) != job.load_hash:
        raise RecordError(f"{published} was changed while it was copied: run again")
    if isinstance(method, Adopts):
        method.adopt(checkpoint, job.cell.preset, job.cell.seed)


def _render(method: Method, subject: Subject, job: Job, emit: Emit) -> _Rendered:
    """Render the test split into ``frames.mkv``, timed, then the videos to watch."""
    folder, info, rules = job.folder, method.info, protocol.get(job.protocol)
    emit({"event": "stage", "stage": "load", "total": 0})
    renderer: Renderer = method.load(folder.checkpoint, job.device)
    given = Given(subject, info.sees, subject.test_ids)
    given.prepare(0)
    emit({"event": "stage", "stage": "render", "total": len(given)})
    clock, digest = RenderClock.on(job.device), FramesHash()

    def frames() -> Iterator[NDArray[np.uint8]]:
        made = checked_frames(info, given, iter(renderer.render(given)))
        for done, frame in enumerate(clock.timed(quantised(frame, rules.quantise) for frame in made), start=1):
            digest.add(given.ids[done - 1], frame)
            emit({"event": "step", "done": done, "scalars": {}})
            yield frame
            given.prepare(done)

    def source() -> str:
        return renderer.source if isinstance(renderer, NamesSource) else "lossless"

    video.write_lossless(folder.frames, frames(), subject.fps, source)
    peak = _peak_memory(job.device)
    with sound.test_sound(subject) as heard:
        video.write_preview(folder.preview, video.read_video(folder.frames), subject.fps, heard)
        truth = RunFolder(job.run).ground_truth(job.cell.subject)
        if not truth.exists():
            video.write_preview(truth, (subject.frame(i).image for i in subject.test_ids), subject.fps, heard)
    return _Rendered(digest.hexdigest(), digest.frames, clock.fps(given.seconds), peak)


def _audit(method: Method, subject: Subject, job: Job, emit: Emit) -> float | None:
    """The copied share, its maps kept in the cell's folder; None where :func:`_unaudited` has a reason."""
    if _unaudited(method, job):
        return None
    count = protocol.get(job.protocol).audit
    emit({"event": "stage", "stage": "audit", "total": 0})
    found = audit.run_audit(method.info, lambda: method.load(job.folder.checkpoint, job.device), subject, count)
    audit.save(job.folder.audit, found)
    return found.share


def _unaudited(method: Method, job: Job) -> str:
    """Why nobody knows what a cell copied from its test frames; empty: it is audited."""
    if not protocol.get(job.protocol).audit:
        return "the protocol asks for no audit"
    if "subject" in method.info.sees:
        return "the method reads the subject's files by itself, so that what it is given can't be disturbed"
    return ""


def _score(subject: Subject, job: Job, rendered: _Rendered, emit: Emit) -> dict[str, MetricRecord]:
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


def _synchroniser(device: str) -> Callable[[], None] | None:
    """What waits for the work that was handed to ``device``; None where work is done when its call returns."""
    if not device.startswith("cuda"):
        return None
    import torch

    return lambda: torch.cuda.synchronize(device)


def _peak_memory(device: str) -> int:
    """Bytes: what CUDA had allocated at most, or on the CPU the process's largest resident set."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would give the parent's peak where that is larger: Linux hands it on at exec
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
