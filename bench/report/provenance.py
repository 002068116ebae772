"""What is told of each cell: where it stands, the end of its log if that is not well, and everything its record states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.report.charts import Style
from bench.report.data import Cell, CellStatus


@dataclass(frozen=True)
class CellView:
    """A cell as the page shows it."""

    name: str
    method: str
    style: Style
    status: CellStatus
    error: str | None
    facts: Mapping[str, str]
    log: str
    """Its last lines; empty for a cell that is well."""


def cell_view(cell: Cell, label: str, looks: Mapping[str, Style]) -> CellView:
    """
    :param label: what its method is called
    :param looks: by label
    """
    record, key = cell.record, cell.key
    facts = {"backend": key.backend, "preset": key.preset, "seed": str(key.seed)}
    if record and record.frames:  # a cell that failed before it rendered states none of these
        facts |= {
            "sees of a test frame": ", ".join(record.sees) or "nothing",
            "canvas": record.canvas,
            "frames": f"{record.frames} of {record.size[0]} × {record.size[1]} pixels",
            "seconds in all": f"{record.seconds:.1f}",
        }
    if record:
        facts |= {
            "started": record.started,
            **{f"train {stage}": f"{seconds:.1f} s" for stage, seconds in record.train_seconds.items()},
            **{f"{name} signature": metric.signature for name, metric in record.metrics.items()},
            **record.provenance,
            **record.hardware,
            **{f"{name} version": version for name, version in record.versions.items()},
            **{f"{what} library": library for what, library in record.libraries.items()},
        }
    facts = {name: text for name, text in facts.items() if text}
    log = cell.log_tail() if cell.status != "ok" else ""
    return CellView(key.name, label, looks[label], cell.status, cell.error, facts, log)
