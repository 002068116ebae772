"""Where a cell stands before a run: what of it is done and still holds.

A record that still holds is kept. Otherwise the cell is run, which does again what its proofs (:mod:`bench.run.proofs`) say is
needed: other metrics or definitions only score, other code of the method renders and scores, another subject begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench import metrics, protocol, records
from bench.errors import DataError, RecordError
from bench.metrics.signature import Signature
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
    """Whether the cell has a record that still holds: finished, readable, of the same subject, code, metrics and detector."""
    path = job.folder.record
    if not path.exists():
        return Standing("interrupted" if job.folder.job.exists() else "new")
    try:
        record = records.load_record(path)
    except RecordError:
        return Standing("corrupt", warning=f"{path} is corrupt, so what it was made from is looked at again")
    if record.status == "failed":
        return Standing("failed")
    origin = (record.cell, record.provenance.get("subject"), record.provenance.get("loaded", ""))
    if origin != (job.cell, job.subject_hash, job.load_hash):
        return Standing("outdated", warning=f"{path} is of other files, so the cell is run again")
    if record.provenance.get("code", job.code) != job.code:
        return Standing(
            "outdated",
            warning=f"{path}: the code of {job.cell.label} is another now, so its checkpoint is rendered again (--force trains again, too)",
        )
    rules = protocol.get(job.protocol).id
    kept = (record.provenance.get("detector"), record.provenance.get("protocol"))
    if set(job.metrics) - record.metrics.keys() or kept != (job.detector, rules) or _redefined(job, record):
        return Standing("outdated", warning=f"{path} was scored otherwise, so its frames are scored again")
    return Standing("done", record)


def _redefined(job: Job, record: Record) -> bool:
    """Whether a metric of the record is of an older definition than the one here."""
    return any(
        _version(record.metrics[name].signature) not in (None, str(metrics.get(name).version)) for name in job.metrics
    )


def _version(signature: str) -> str | None:
    try:
        return Signature.parse(signature).get("v")
    except DataError:
        return None
