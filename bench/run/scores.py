"""Scores of a cell's rendered frames, from the files: whole frames and regions, and the table of single frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.metrics import METRICS, MetricResult
from bench.paths import atomic_file
from bench.records import MetricRecord
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
    progress: Callable[[int, int], None],
) -> dict[str, MetricRecord]:
    """Score the test frames of ``subject`` in the video ``frames``; single frames' values go to ``table`` (Parquet).

    Raises:
        DataError: the frames are not those the subject asks for.
    """
    ids, truth = subject.test_ids, subject.root / "ori_imgs"
    word = re.sub(r"[\s|:]+", "-", canvas.strip()) or "own"
    full = score(
        frames, truth, expected_ids=ids, metrics=metrics, detector=detector, device=device, canvas=word, progress=progress
    )  # fmt: skip
    masked = [name for name in metrics if METRICS[name].takes_mask]
    parts = {
        region: score(
            frames, truth, expected_ids=ids, metrics=masked, mask=mask_of(subject, region), region=region, canvas=word,
            min_coverage=0.0,
        )
        for region in (REGIONS if masked else ())
    }  # fmt: skip
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
