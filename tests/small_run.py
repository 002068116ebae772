"""A small finished run with the numbers that a test wants, and frames to look at: for checks, baselines and the paper kit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.hashes import hash_folder
from bench.records import CellKey, Fps, MetricRecord, Plan, Record, save
from bench.video import write_lossless, write_preview

FRAMES, SIZE, FIRST_ID = 40, 64, 16
HARDWARE = {"cpu": "Test CPU", "gpu": "none"}
LEVELS = {"psnr": 30.0, "psnr_face": 28.0, "ssim": 0.9, "lpips": 0.05, "lmd": 0.8}
UNITS = {
    "psnr": ("PSNR", "dB", True),
    "ssim": ("SSIM", "1", True),
    "lpips": ("LPIPS", "1", False),
    "lmd": ("LMD", "px", False),
}


def make(
    run: Path,
    methods: Mapping[str, float],
    subjects: Sequence[str] = ("ada", "ben"),
    seeds: Sequence[int] = (0,),
    noise: int = 0,
    roots: Mapping[str, Path] | None = None,
) -> Path:
    """Write the run folder ``run``.

    :param methods: decibels below :data:`LEVELS` by label (``degstalk[-E]``); the other measures get worse in proportion
    :param noise: another number gives other noise of 0.02 dB on every frame, as a rerun on another machine may
    :param roots: each subject's prepared folder, where a test needs one
    """
    keys = [_key(label, subject, seed) for label in methods for subject in subjects for seed in seeds]
    save(run / "run.json", Plan(cells=keys, created="2026-11-25T20:00:00Z", hardware=HARDWARE))
    for key in keys:
        _cell(run / "cells" / key.name, key, methods[key.label], noise, roots or {})
    for subject in subjects:
        path = run / "ground_truth" / f"{subject}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_preview(path, pictures(0.0), 25)
    return run


def change(run: Path, name: str, **changes: object) -> None:
    """Change fields of a cell's record."""
    path = run / "cells" / name / "record.json"
    record = Record.model_validate_json(path.read_text(encoding="utf-8"))
    save(path, record.model_copy(update=changes))


def drop(run: Path, name: str, decibels: float, column: str = "psnr") -> None:
    """Make every frame of a cell worse."""
    path = run / "cells" / name / "frames.parquet"
    table = pd.read_parquet(path)
    table[column] -= decibels
    table.to_parquet(path)


def pictures(error: float) -> list[NDArray[np.uint8]]:
    """Frames of a disc that moves; ``error`` 0–1 tints it."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    frames = []
    for k in range(FRAMES):
        frame = np.stack([90 + x, 120 + 0 * x, 160 - y], -1).astype(np.uint8)
        frame[(x - 32 - 4 * np.sin(k / 5)) ** 2 + (y - 30) ** 2 < 200] = (220, 170 - 100 * error, 150)
        frames.append(frame)
    return frames


def _key(label: str, subject: str, seed: int) -> CellKey:
    method, _, rest = label.partition("[")
    return CellKey(method=method, variant=rest.rstrip("]"), subject=subject, preset="quick", seed=seed)


def _cell(folder: Path, key: CellKey, worse: float, noise: int, roots: Mapping[str, Path]) -> None:
    folder.mkdir(parents=True)
    frames = _series(key, worse, noise)
    reference = key.method in ("copy-gt", "mean-frame")
    metrics = {name: _metric(name, frames) for name in UNITS}
    if key.method == "copy-gt":
        frames["psnr"] = np.full(FRAMES, np.inf)
        metrics["psnr"] = metrics["psnr"].model_copy(update={"value": None, "state": "identical", "ci95": None})
    pd.DataFrame({"id": np.arange(FIRST_ID, FIRST_ID + FRAMES)} | frames).to_parquet(folder / "frames.parquet")
    record = Record(
        cell=key, status="ok", metrics=metrics, copied_share=0.25, kind="reference" if reference else "3DGS",
        canvas="ground-truth" if reference else "own:gt-hair" if "-H" not in key.variant else "own:plate", frames=FRAMES,
        size=(SIZE, SIZE), fps=Fps(render=60.0 - worse, end_to_end=50.0), train_seconds={"total": 90.0},
        sees=["pose", "audio"], hardware=HARDWARE, versions={"talkbench": "0.1.0"}, started="2026-11-25T20:00:00Z",
        provenance={"subject": "sha256:1234", "detector": "mediapipe", "protocol": "neutral:1"},
    )  # fmt: skip
    if root := roots.get(key.subject):
        digest = hash_folder(root)
        record = record.model_copy(update={"provenance": record.provenance | {"subject": digest}})
        origin = {"cell": key.model_dump(), "subject_hash": digest, "subject_root": str(root)}
        (folder / "job.json").write_text(json.dumps(origin))
    save(folder / "record.json", record)
    write_lossless(folder / "frames.mkv", pictures(0.0 if key.method == "copy-gt" else 0.1 + worse / 10), 25)


def _series(key: CellKey, worse: float, noise: int) -> dict[str, NDArray[np.float64]]:
    """What makes a frame hard is the same for all methods and reruns of a subject."""
    hard = np.random.default_rng([ord(c) for c in key.subject]).normal(0, 0.5, FRAMES)
    own = np.random.default_rng([noise, key.seed, *map(ord, key.name)]).normal(0, 0.02, FRAMES)
    change = hard + own - worse
    signs = {name: 1 if name.startswith(("psnr", "ssim")) else -1 for name in LEVELS}
    return {name: level * (1 + signs[name] * change / 30) for name, level in LEVELS.items()}


def _metric(name: str, frames: Mapping[str, NDArray[np.float64]]) -> MetricRecord:
    label, unit, higher = UNITS[name]
    mean = float(frames[name].mean())
    return MetricRecord(
        value=mean, unit=unit, higher_is_better=higher, n=(FRAMES, FRAMES), ci95=(mean * 0.99, mean * 1.01),
        signature=f"{label}|canvas:own|region:full|agg:frame-mean|quant:u8-round|src:lossless|v:1",
        regions={"full": mean} | ({"face": float(frames["psnr_face"].mean())} if name == "psnr" else {}),
    )  # fmt: skip
