"""Where a cell stands before a run: what of it is done and still holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench import protocol, records
from bench.errors import RecordError
from bench.records import Record
from bench.run.layout import Job


@dataclass(frozen=True)
class Standing:
    """Where a cell stands before the run."""

    state: Literal["done", "new", "interrupted", "failed", "outdated", "corrupt"]
    record: Record | None = None
    """The finished record that will be kept; None: the cell is to be run."""
    warning: str = ""


def standing(job: Job) -> Standing:
    """Whether the cell has a record that still holds: finished, readable, and of the same subject, metrics and detector."""
    path = job.folder.record
    if not path.exists():
        return Standing("interrupted" if job.folder.job.exists() else "new")
    try:
        record = records.load_record(path)
    except RecordError:
        return Standing("corrupt", warning=f"{path} is corrupt, so the cell is run again")
    if record.status == "failed":
        return Standing("failed")
    origin = (record.cell, record.provenance.get("subject"), record.provenance.get("loaded", ""))
    if origin != (job.cell, job.subject_hash, job.load_hash):
        return Standing("outdated", warning=f"{path} is of other files, so the cell is run again")
    rules = protocol.get(job.protocol).id
    kept = (record.provenance.get("detector"), record.provenance.get("protocol"))
    if set(job.metrics) - record.metrics.keys() or kept != (job.detector, rules):
        return Standing("outdated", warning=f"{path} was scored otherwise, so its frames are made and scored again")
    return Standing("done", record)
