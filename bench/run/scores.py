"""Scores of a cell's rendered frames, from the files: whole frames and regions, and the table of single frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.metrics import METRICS, MetricResult
from bench.paths import atomic_file
from bench.records import MetricRecord
from bench.run.progress import Emit
from bench.run.regions import REGIONS, mask_of
from bench.scoring import score
from bench.subject import Subject


def score_cell(
    frames: Path,
    subject: Subject,
    table: Path,
    *,
    metrics: Sequence[str],
    detector: str,
    device: str,
    canvas: str,
    emit: Emit,
) -> dict[str, MetricRecord]:
    """Score the test frames of ``subject`` in the video ``frames``; single frames' values go to ``table`` (Parquet).

    Raises:
        DataError: the frames are not those the subject asks for.
    """
    ids, truth = subject.test_ids, subject.root / "ori_imgs"
    word = re.sub(r"[\s|:]+", "-", canvas.strip()) or "own"

    def told(done: int, total: int) -> None:
        emit({"event": "step", "done": done, "scalars": {}})

    emit({"event": "stage", "stage": "score", "total": len(ids)})
    full = score(
        frames, truth, expected_ids=ids, metrics=metrics, detector=detector, device=device, canvas=word, progress=told
    )  # fmt: skip
    masked = [name for name in metrics if METRICS[name].takes_mask]
    parts: dict[str, dict[str, MetricResult]] = {}
    for region in REGIONS if masked else ():
        emit({"event": "stage", "stage": f"score {region}", "total": len(ids)})
        parts[region] = score(
            frames, truth, expected_ids=ids, metrics=masked, mask=mask_of(subject, region), region=region, canvas=word,
            min_coverage=0.0, progress=told,
        )  # fmt: skip
    _save(table, ids, full, parts)
    return {
        name: _record(result, {region: results[name].value for region, results in parts.items() if name in results})
        for name, result in full.items()
    }


def _record(result: MetricResult, regions: dict[str, float | None]) -> MetricRecord:
    return MetricRecord(
        value=result.value, state=result.state, reason=result.reason, unit=result.unit, n=result.n, regions=regions,
        higher_is_better=result.higher_is_better, signature=str(result.signature or ""),
    )  # fmt: skip


def _save(
    path: Path, ids: Sequence[int], full: dict[str, MetricResult], parts: dict[str, dict[str, MetricResult]]
) -> None:
    columns = {"id": np.asarray(ids)} | {name: result.per_frame for name, result in full.items()}
    for region, results in parts.items():
        columns |= {f"{name}_{region}": result.per_frame for name, result in results.items()}
    with atomic_file(path) as temporary:
        pd.DataFrame(columns).to_parquet(temporary, index=False)
