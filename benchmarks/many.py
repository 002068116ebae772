"""Makes a run folder of very many cells: invented numbers in records as long as real ones, each with a cell of its own."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from bench.metrics import METRICS
from bench.records import CellKey, Fps, MetricRecord, Plan, Record, save

MEASURES = (
    "psnr",
    "ssim",
    "lpips",
    "lmd",
    "lmd-face",
    "lmd-eyes",
    "flip",
    "sharpness",
    "flicker",
    "blink",
    "jaw",
    "mouth-audio",
)
"""What the neutral protocol measures."""
_WITH_REGIONS = ("psnr", "ssim", "lpips", "flip", "sharpness", "flicker")
_REGIONS = ("face", "mouth", "hair", "torso", "synthesised")
_HARDWARE = {
    "cpu": "Invented CPU",
    "cores": "2",
    "memory": "24 GiB",
    "os": "Linux",
    "threads": "1",
    "cells at once": "2",
}
_VERSIONS = {
    "python": "3.11.7",
    "talkbench": "0.1.0",
    "torch": "2.14.1",
    "numpy": "1.26.4",
    "lpips": "0.1.4",
    "av": "18.1.0",
}


def keys(methods: int, subjects: int, seeds: int) -> list[CellKey]:
    """Methods ``m0`` …, subjects ``s0`` …, each with all seeds."""
    every = product(range(methods), range(subjects), range(seeds))
    return [CellKey(method=f"m{m}", subject=f"s{s}", preset="quick", seed=seed) for m, s, seed in every]


def make(run: Path, methods: int, subjects: int, seeds: int, wrong: int = 3) -> Path:
    """Write the run folder ``run``; of its last ``wrong`` cells, one has no record, one is invalid, the others failed."""
    every = keys(methods, subjects, seeds)
    save(run / "run.json", Plan(cells=every, created="2026-11-26T00:00:00Z", hardware=_HARDWARE))
    for key, text in records(every[: len(every) - 1]):
        _write(run, key, text)
    for place, key in enumerate(every[len(every) - wrong : -1]):
        state = {"status": "invalid", "error": "LMD coverage 3/300"} if place == wrong - 2 else _FAILED
        _write(run, key, json.dumps(record(key) | state))
    return run


_FAILED: dict[str, Any] = {"status": "failed", "error": "out of memory", "metrics": {}, "fps": {}, "train_seconds": {}}


def finish(run: Path, name: str) -> None:
    """Write the record of one cell."""
    (key,) = (key for key in Plan.model_validate_json((run / "run.json").read_text()).cells if key.name == name)
    _write(run, key, json.dumps(record(key)))


def record(key: CellKey) -> dict[str, Any]:
    """A finished cell's, as JSON values of about 10 kB: the length of a real one under the neutral protocol."""
    provenance = dict.fromkeys(("subject", "checkpoint", "frames"), "0" * 64)
    provenance |= {"audio": "mel", "detector": "mediapipe", "device": "cpu", "protocol": "neutral:1"}
    found = Record(
        cell=key, status="ok", metrics={name: _metric(name) for name in MEASURES}, copied_share=0.25,
        fps=Fps(render=40.0, render_p95_ms=30.0, end_to_end=20.0), train_seconds={"total": 12.0, "face": 8.0, "mouth": 4.0},
        peak_memory_bytes=2**30, frames=300, size=(512, 512), sees=["audio", "pose"], canvas="own", kind="3DGS",
        provenance=provenance, hardware=_HARDWARE, versions=_VERSIONS, started="2026-11-26T00:00:00+00:00", seconds=12.0,
    )  # fmt: skip
    return found.model_dump(mode="json")


def records(every: list[CellKey]) -> Iterator[tuple[CellKey, str]]:
    """Records of the cells as JSON, all of another value in each measure and time."""
    drawn, model = random.Random(0), record(every[0])
    for key in every:
        model["cell"] = key.model_dump()
        for metric in model["metrics"].values():
            metric["value"] = metric["regions"]["full"] = drawn.gauss(30, 1)
            metric["regions"] |= {name: drawn.gauss(25, 1) for name in metric["regions"] if name != "full"}
        model["fps"]["render"] = drawn.uniform(20, 60)
        model["train_seconds"]["total"] = drawn.uniform(60, 90)
        yield key, json.dumps(model, indent=1)


def _metric(name: str) -> MetricRecord:
    metric = METRICS[name]
    regions = _REGIONS if name in _WITH_REGIONS else ()
    return MetricRecord(
        value=30.0, unit=metric.unit, higher_is_better=metric.higher_is_better, n=(300, 300), ci95=(29.0, 31.0),
        signature=f"{metric.label}|canvas:own|region:full|agg:frame-mean|quant:u8-round|src:lossless|v:1|n:300/300",
        regions={"full": 30.0} | dict.fromkeys(regions, 25.0), regions_ci95=dict.fromkeys(regions, (24.0, 26.0)),
    )  # fmt: skip


def _write(run: Path, key: CellKey, text: str) -> None:
    folder = run / "cells" / key.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(text, encoding="utf-8")
