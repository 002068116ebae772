"""A cell's second and third stage: the test frames, and how much of them was copied from the ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bench import audit, protocol, sound, video
from bench.contract import Method, NamesSource, Renderer, checked_frames
from bench.hashes import FramesHash
from bench.pixels import quantised
from bench.run.device import peak_memory
from bench.run.given import Given
from bench.run.layout import Job, RunFolder
from bench.run.progress import Emit
from bench.run.proofs import Proof, Rendered, hash_of
from bench.run.timing import RenderClock
from bench.subject import Subject


def recipe(job: Job, checkpoint: str) -> dict[str, str]:
    """What the frames are made from, beside the subject."""
    return {
        "checkpoint": checkpoint,
        "code": job.code,
        "device": job.device,
        "rounding": protocol.get(job.protocol).quantise,
    }


def render(method: Method, subject: Subject, job: Job, made_from: Mapping[str, str], emit: Emit) -> Rendered:
    """The test split in ``frames.mkv``, timed, and the videos to watch; what was rendered by the same recipe is kept."""
    folder = job.folder
    rendered = Rendered.kept(folder.rendered, folder.frames, made_from)
    if rendered is None:
        folder.rendered.unlink(missing_ok=True)
        rendered = _rendered(method, subject, job, made_from, emit)
        rendered.save(folder.rendered)
        folder.preview.unlink(missing_ok=True)
    _write_previews(subject, job)
    return rendered


def _rendered(method: Method, subject: Subject, job: Job, made_from: Mapping[str, str], emit: Emit) -> Rendered:
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
    return Rendered(
        recipe=dict(made_from), sha256=hash_of(folder.frames), root=digest.hexdigest(), frames=digest.frames,
        fps=clock.fps(given.seconds), peak_memory_bytes=peak_memory(job.device),
    )  # fmt: skip


def _write_previews(subject: Subject, job: Job) -> None:
    """The frames and the ground truth to watch and hear, unless they are there."""
    preview, truth = job.folder.preview, RunFolder(job.run).ground_truth(job.cell.subject)
    if preview.exists() and truth.exists():
        return
    with sound.test_sound(subject) as heard:
        if not preview.exists():
            video.write_preview(preview, video.read_video(job.folder.frames), subject.fps, heard)
        if not truth.exists():
            video.write_preview(truth, (subject.frame(i).image for i in subject.test_ids), subject.fps, heard)


def copied_share(method: Method, subject: Subject, job: Job, made_from: Mapping[str, str], emit: Emit) -> float | None:
    """The audit's number, its maps kept in the cell's folder; None where :func:`unaudited` has a reason."""
    folder, count = job.folder, protocol.get(job.protocol).audit
    if unaudited(method, job):
        return None
    asked = {**made_from, "audited frames": str(count)}
    if Proof.kept(folder.audited, folder.audit, asked):
        return audit.read(folder.audit).share
    folder.audited.unlink(missing_ok=True)
    emit({"event": "stage", "stage": "audit", "total": 0})
    found = audit.run_audit(method.info, lambda: method.load(folder.checkpoint, job.device), subject, count)
    audit.save(folder.audit, found)
    Proof(recipe=asked, sha256=hash_of(folder.audit)).save(folder.audited)
    return found.share


def unaudited(method: Method, job: Job) -> str:
    """Why nobody knows what a cell copied from its test frames; empty: it is audited."""
    if not protocol.get(job.protocol).audit:
        return "the protocol asks for no audit"
    if "subject" in method.info.sees:
        return "the method reads the subject's files by itself, so that what it is given can't be disturbed"
    return ""
