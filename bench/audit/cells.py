"""Audits cells of a run again, from their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from bench import catalogue, registry, video
from bench.audit.measure import Audit, run_audit
from bench.audit.picture import Row
from bench.errors import DataError, RecordError
from bench.hashes import hash_folder
from bench.records import CellKey, load_record
from bench.run.layout import CellFolder
from bench.run.worker import one_line
from bench.subject import Subject


@dataclass(frozen=True)
class Audited:
    """What became of one cell: its audit, or why there is none."""

    cell: CellKey
    folder: CellFolder
    canvas: str = ""
    subject: Subject | None = None
    audit: Audit | None = None
    skipped: str = ""
    """Not finished, so there is nothing to audit yet."""
    error: str = ""

    def row(self) -> Row:
        """For the picture: the frame in the middle of the sample, as the cell rendered it.

        :raises bench.errors.DataError: the cell's frames can't be read
        """
        if self.audit is None or self.subject is None:
            raise ValueError(f"{self.cell.name} has no audit to draw")
        place = len(self.audit.ids) // 2
        number = self.audit.ids[place]
        index = self.subject.test_ids.index(number)
        rendered = next(islice(video.read_video(self.folder.frames), index, None), None)
        if rendered is None:
            raise DataError(f"{self.folder.frames} ends before frame {number}; run the cell again")
        notes = [f"{self.cell.subject}, {self.cell.preset}, seed {self.cell.seed}", self.canvas, ""]
        notes += [f"{100 * self.audit.share:.1f} % copied"]
        notes += [f"{100 * share:.1f} % in {name}" for name, share in self.audit.regions.items() if share is not None]
        return Row(self.cell.label, notes, self.audit, place, self.subject.frame(number).image, rendered)


def audit_cell(
    cell: CellKey, folder: CellFolder, count: int, device: str, subjects: Mapping[str, Subject] | None = None
) -> Audited:
    """Audit one cell with ``count`` test frames; whatever goes wrong, in a plugin or here, is in the answer.

    :param subjects: subjects by name, beside those of the catalogue
    """
    if not folder.record.exists():
        return Audited(cell, folder, skipped="not finished")
    try:
        record = load_record(folder.record)
        if record.status == "failed":
            return Audited(cell, folder, skipped=f"failed: {record.error}")
        subject = (subjects or {}).get(cell.subject) or catalogue.resolve(cell.subject)
        if catalogue.subject_hash(subject) != record.provenance.get("subject"):
            raise RecordError(f"{subject.root} is not, or no longer, the subject that the cell was trained on")
        if hash_folder(folder.checkpoint, without={folder.trained.name}) != record.provenance.get("checkpoint"):
            raise RecordError(f"{folder.checkpoint} is not, or no longer, the checkpoint of the cell's record")
        method = registry.get(cell.method, cell.variant)
        audit = run_audit(method.info, lambda: method.load(folder.checkpoint, device), subject, count)
    except (Exception, SystemExit) as error:  # SystemExit: a plugin's, not the user's
        return Audited(cell, folder, error=one_line(error))
    return Audited(cell, folder, record.canvas, subject, audit)
