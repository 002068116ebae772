"""Scores of a cell's rendered frames, from the files: records of each measure, and the table of single frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from bench import audit
from bench.metrics import METRICS, MetricResult
from bench.protocol import Protocol
from bench.records import MetricRecord
from bench.regions import SYNTHESISED
from bench.run.layout import CellFolder
from bench.scoring import FrameMask, score
from bench.subject import Subject


def rescore(
    folder: CellFolder,
    subject: Subject,
    protocol: Protocol,
    *,
    metrics: Sequence[str],
    detector: str,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, MetricRecord], pd.DataFrame]:
    """Score the cell's ``frames.mkv`` against the test frames of ``subject``.

    Returns the records by metric, and one row a frame: ``id``, then :func:`per_frame_columns`.

    Raises:
        DataError: the frames are not those the subject asks for.
    """
    masks: dict[str, FrameMask] = {}
    if SYNTHESISED in protocol.regions and audit.exists(folder.audit):
        masks[SYNTHESISED] = audit.synthesised(folder.audit)
    results = score(
        folder.frames, subject=subject, protocol=protocol, metrics=metrics, detector=detector, device=device,
        masks=masks, quantised=protocol.quantise, progress=progress,
    )  # fmt: skip
    table = pd.DataFrame({"id": subject.test_ids} | per_frame_columns(results))
    return {name: _record(result) for name, result in results.items()}, table


def per_frame_columns(results: Mapping[str, MetricResult]) -> dict[str, object]:
    """``psnr``, ``psnr_face``, …; where a metric has several quantities a frame, ``blink.<quantity>``."""
    found: dict[str, object] = {}
    for name, whole in results.items():
        for region, result in {"": whole, **whole.regions}.items():
            column = f"{name}_{region}" if region else name
            if result.per_frame.ndim == 1:
                found[column] = result.per_frame
            else:
                parts = zip(METRICS[name].columns, result.per_frame.T, strict=True)
                found |= {f"{column}.{part}": values for part, values in parts}
    return found


def _record(result: MetricResult) -> MetricRecord:
    regions = result.regions
    return MetricRecord(
        value=result.value, state=result.state, reason=result.reason, unit=result.unit, n=result.n, ci95=result.ci95,
        higher_is_better=result.higher_is_better, signature=str(result.signature or ""),
        regions=result.as_json()["regions"], regions_ci95={name: part.ci95 for name, part in regions.items()},
    )  # fmt: skip
