"""Every reader of a file from elsewhere, fed with broken ones: it reads it or says in one line what is wrong. Never a traceback.

`BENCH_FUZZ=2000 pytest tests/fuzz` tries that many files a reader; the default is a sample that takes seconds.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_run
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import archive, audit, checkpoints, explain, records, video
from bench.cli import plan_file, run, status
from bench.contract import Conditioning
from bench.errors import BenchError, RecordError
from bench.prepare import poses
from bench.prepare.steps import Options
from bench.report import data
from bench.run import cancel, heartbeat
from bench.run.layout import CellFolder, Origin
from bench.subject import Subject

EXAMPLES = int(os.environ.get("BENCH_FUZZ", "25"))
NASTY: list[Any] = [
    None, True, -1, 0, 2**70, 1e308, float("nan"), float("inf"), "", "../../x", "\0", "é" * 300, [], {}, [[[]]], {"a": None},
]  # fmt: skip
CELL = "m--toy--quick--s0"


@dataclass(frozen=True)
class Reader:
    """A file, whole, and what reads it."""

    name: str
    file: str
    """Relative to the folder that ``make`` fills."""
    make: Callable[[Path, Path], None]
    """(folder to fill, the toy subject's folder)"""
    read: Callable[[Path], object]
    """Gets the folder."""


def _copy_subject(folder: Path, toy: Path) -> None:
    shutil.copytree(toy, folder, dirs_exist_ok=True)


def _use_subject(folder: Path) -> None:
    """Everything that a method or metric may ask of a frame."""
    subject = Subject(folder)
    frame = subject.frame(subject.ids[0])
    for name in (
        "image", "labels", "teeth", "landmarks", "camera", "audio", "expression", "eyelid", "shape", "jaw",
        "action_units", "upper_face", "torso_canvas", "hair_canvas", "portrait_canvas",
    ):  # fmt: skip
        getattr(frame, name)
    _ = subject.background
    Conditioning(frame, subject, frozenset({"pose"})).camera.scaled(0.5)


def _make_run(folder: Path, toy: Path) -> None:
    run = small_run.make(folder / "run", {"m": 0.0}, ["toy"], roots={"toy": toy})
    (folder / "cell").symlink_to(run / "cells" / CELL)


def _make_archive(folder: Path, toy: Path) -> None:
    small_run.make(folder / "run", {"m": 0.0}, ["toy"])
    archive.pack(folder / "run", folder / "run.zip")


def _unpack(folder: Path) -> None:
    before = set(folder.rglob("*"))
    try:
        archive.unpack(folder / "run.zip", folder / "out")
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)
        assert set(folder.rglob("*")) == before, "something was written outside"


def _make_frames(folder: Path, toy: Path) -> None:
    subject = Subject(toy)
    video.write_lossless(folder / "v.mkv", (subject.frame(i).image for i in subject.ids[:4]), 25)
    video.write_preview(folder / "v.mp4", (subject.frame(i).image for i in subject.ids[:4]), 25, toy / "aud.wav")
    shutil.copy(toy / "aud.wav", folder / "a.wav")


def _make_audit(folder: Path, toy: Path) -> None:
    numbers: dict[str, Any] = {"share": 0.5, "regions": {"face": None}, "noise": 0.0, "plates": ("hair_canvas",)}
    maps = np.zeros((1, 16, 16), np.uint8)
    audit.save(folder / "audit", audit.Audit(ids=(1,), per_frame=(0.5,), maps=maps, **numbers))


def _make_poses(folder: Path, toy: Path) -> None:
    tracked = {"euler": torch.zeros(3, 3), "trans": torch.ones(3, 3), "focal": torch.tensor([1200.0])}
    torch.save(tracked, folder / "track_params.pt")
    found = poses.Poses(np.tile(np.eye(4), (3, 1, 1)), 1200.0, 450)
    (folder / "poses.json").write_text(poses.as_json(found, range(3), (64, 64)))


def _make_checkpoint(folder: Path, toy: Path) -> None:
    (folder / "done.json").write_text(json.dumps({"sha256": "0" * 64, "seconds": {"total": 1}, "peak_memory_bytes": 1}))
    origin = {"cell": {"method": "m", "subject": "toy", "preset": "quick", "seed": 0}, "subject_hash": "0"}
    (folder / "job.json").write_text(json.dumps(origin))


def _make_plan_file(folder: Path, toy: Path) -> None:
    (folder / "bench.toml").write_text(
        'methods = ["degstalk", "degstalk[-H]"]\nsubjects = "ada,ben"\nseeds = [0, 1]\ntime-limit = 1.5\nreferences = false\n'
    )


def _make_signs(folder: Path, toy: Path) -> None:
    (folder / ".alive").write_text(json.dumps({"stage": "fine", "done": 3, "total": 9, "since_step": 0.5}))
    (folder / ".lock").write_text(json.dumps({"host": "here", "mark": "12:345", "since": "2026-01-01T00:00:00"}))


def _read_sign(folder: Path) -> None:
    if sign := heartbeat.last(CellFolder(folder)):
        status._told(sign)
        json.dumps(asdict(sign), allow_nan=False)


def _options(folder: Path) -> Options:
    return Options(folder / "v.mp4", "x", folder / "out")


def _all(frames: Iterator[object]) -> None:
    for _ in frames:
        pass


READERS = (
    *(
        Reader(f"subject {file}", file, _copy_subject, _use_subject)
        for file in (
            "subject.json", "transforms_train.json", "transforms_val.json", "au.csv", "coefficients.npz",
            "ori_imgs/0.jpg", "ori_imgs/0.lms", "parsing/0.png", "teeth_mask/0.npy", "bc.jpg", "aud.wav",
        )
    ),
    Reader("plan", "run/run.json", _make_run, lambda folder: records.load_plan(folder / "run")),
    Reader("record", f"run/cells/{CELL}/record.json", _make_run, lambda folder: explain.explain(folder / "cell")),
    Reader("record in a report", f"run/cells/{CELL}/record.json", _make_run, lambda folder: data.load(folder / "run")),
    Reader("values of frames", f"run/cells/{CELL}/frames.parquet", _make_run, lambda folder: data.load(folder / "run")),
    Reader("values explained", f"run/cells/{CELL}/frames.parquet", _make_run, lambda folder: explain.explain(folder / "cell")),
    Reader("archive", "run.zip", _make_archive, _unpack),
    Reader("lossless video", "v.mkv", _make_frames, lambda folder: _all(video.read_video(folder / "v.mkv"))),
    Reader("lossy video", "v.mp4", _make_frames, lambda folder: _all(video.read_video(folder / "v.mp4"))),
    Reader("video header", "v.mp4", _make_frames, lambda folder: video.probe(folder / "v.mp4")),
    Reader("sound of a video", "v.mp4", _make_frames, lambda folder: video.read_audio(folder / "v.mp4")),
    Reader("sound", "a.wav", _make_frames, lambda folder: video.read_audio(folder / "a.wav")),
    Reader("audit", "audit/audit.json", _make_audit, lambda folder: audit.load(folder / "audit")),
    Reader("audit maps", "audit/share.mkv", _make_audit, lambda folder: audit.load(folder / "audit")),
    Reader("tracker", "track_params.pt", _make_poses, lambda folder: poses.read(folder / "track_params.pt", _options(folder), 3)),
    Reader("poses", "poses.json", _make_poses, lambda folder: poses.read(folder / "poses.json", _options(folder), 3)),
    Reader("checkpoint's proof", "done.json", _make_checkpoint, checkpoints.proved),
    Reader("plan file", "bench.toml", _make_plan_file, lambda folder: plan_file.read(folder / "bench.toml", run.command)),
    Reader("sign of life", ".alive", _make_signs, _read_sign),
    Reader("signature in a lock", ".lock", _make_signs, lambda folder: cancel.holder(folder / ".lock")),
    Reader("work order", "job.json", _make_checkpoint, lambda folder: Origin.read(folder / "job.json")),
)  # fmt: skip


@st.composite
def _broken(draw: st.DrawFn, whole: bytes) -> bytes:
    """The file cut, patched, stretched, with another JSON value somewhere, or something else altogether."""
    kind = draw(st.sampled_from(["cut", "patch", "patch", "insert", "json", "json", "other"]))
    place = draw(st.integers(0, len(whole)))
    if kind == "cut":
        return whole[:place]
    if kind == "other":
        return draw(st.binary(max_size=200))
    if kind == "json":
        with suppress(ValueError):
            return json.dumps(_replaced(draw, json.loads(whole))).encode()
    piece = draw(st.binary(min_size=1, max_size=8))
    after = place if kind == "insert" else min(len(whole), place + len(piece))
    return whole[:place] + piece + whole[after:]


def _replaced(draw: st.DrawFn, value: Any) -> Any:
    """One value of a JSON document replaced by a nasty one, or taken out."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 5)):
            return {k: v for k, v in value.items() if k != key}
        return value | {key: _replaced(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], _replaced(draw, value[at]), *value[at + 1 :]]
    return draw(st.sampled_from(NASTY))


@pytest.mark.filterwarnings("ignore::bench.errors.BenchWarning")
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_broken_file_is_read_or_named(reader: Reader, toy_folder: Path, tmp_path: Path) -> None:
    reader.make(tmp_path, toy_folder)
    path = tmp_path / reader.file
    whole = path.read_bytes()
    if reader.name == "checkpoint's proof":  # an invented one is well-formed but proves nothing
        with pytest.raises(RecordError, match="changed after training"):
            reader.read(tmp_path)
    else:
        reader.read(tmp_path)

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(_broken(whole))
    def tried(bad: bytes) -> None:
        path.write_bytes(bad)
        with suppress(BenchError):
            reader.read(tmp_path)

    tried()
