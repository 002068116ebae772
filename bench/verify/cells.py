"""Proving a finished run from its files: every hash is taken again, every score recomputed from the frames.

What is altered is named. What can't be proved here (the subject isn't on this machine, a model is missing) is said, and
is no fault. Nothing is written.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from bench import audit, catalogue, records, video
from bench.errors import BenchError, DataError, RecordError, UsageError, unknown
from bench.hashes import content_hash, hash_folder, named_hash, root_hash
from bench.records import CellKey, Record
from bench.run.layout import CellFolder, RunFolder
from bench.subject import Subject
from bench.verify.alterations import alterations
from bench.verify.rescored import Rescore, differences

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Part = Literal["record", "table", "frames", "checkpoint", "audit", "subject", "scores"]
_ROOT_ONLY = (
    "the record's hash over all frames doesn't hold; which frame was changed can't be said: the table has no hashes of "
    "single frames (an older version made it, whose hash over all was another, or they were taken out)"
)
_HALF_LEVEL = 0.5 / 255 + 1e-9
"""How far a map of 8 bits may be from the shares it keeps."""
Progress = Callable[[str, int, int], None]
"""Called with (what is done, how much of it is, how much there is)."""


@dataclass(frozen=True)
class Finding:
    """One thing to tell about a cell."""

    part: Part
    text: str
    """One line: what is wrong, or what couldn't be proved and why."""
    fault: bool = True
    """False: it couldn't be proved here."""


@dataclass
class Verdict:
    """What became of one cell."""

    cell: str
    proved: list[str] = field(default_factory=list)
    """What was checked and holds, in words."""
    findings: list[Finding] = field(default_factory=list)
    skipped: str = ""
    """Why there is nothing to verify: the cell failed, or isn't over yet."""

    @property
    def holds(self) -> bool:
        """True if nothing is wrong with it."""
        return not any(finding.fault for finding in self.findings)

    def note(self, part: Part, text: str) -> None:
        """Something couldn't be proved."""
        self.findings.append(Finding(part, text, fault=False))

    def fault(self, part: Part, text: str) -> None:
        """Something doesn't hold."""
        self.findings.append(Finding(part, text))


def verify(
    run: Path | str,
    cells: Sequence[str] = (),
    *,
    scores: bool = True,
    subjects: Mapping[str, Subject] | None = None,
    rescore: Rescore | None = None,
    progress: Progress | None = None,
) -> Iterator[Verdict]:
    """Verify a run folder, cell by cell.

    :param cells: names of cells; by default all
    :param scores: whether to recompute the scores, which takes by far the longest
    :param subjects: subjects by name, beside those of the catalogue
    :param rescore: what scores a cell's frames; by default :func:`bench.run.scores.rescore`
    :raises bench.errors.DataError: ``run`` is not a run folder
    :raises bench.errors.UsageError: the run has no such cell
    """
    try:
        plan = records.load_plan(Path(run))
    except RecordError as error:
        raise DataError(str(error)) from error
    known = {key.name: key for key in plan.cells}
    for name in cells:
        if name not in known:
            raise unknown("cell", name, known)
    checker = _Checker(scores, subjects or {}, rescore, progress or (lambda what, done, total: None))
    chosen = [key for name, key in known.items() if not cells or name in cells]
    return (checker.check(key, RunFolder(Path(run)).cell(key)) for key in chosen)


@dataclass(frozen=True)
class _Checker:
    scores: bool
    subjects: Mapping[str, Subject]
    rescore: Rescore | None
    progress: Progress
    _hashes: dict[Path, str] = field(default_factory=dict)
    """Of the subjects met so far."""

    def check(self, key: CellKey, folder: CellFolder) -> Verdict:
        verdict = Verdict(key.name)
        if not folder.record.exists():
            verdict.skipped = "not finished"
            return verdict
        try:
            record = records.load_record(folder.record)
        except RecordError as error:
            verdict.fault("record", str(error))
            return verdict
        if record.cell != key:
            verdict.fault("record", f"{folder.record} is of another cell, {record.cell.name}")
        if record.status == "failed":
            verdict.skipped = f"failed: {record.error}"
            return verdict
        table = _guarded(verdict, "table", functools.partial(_table, folder))
        whole = bool(_guarded(verdict, "frames", functools.partial(self._frames, verdict, folder, record, table)))
        _guarded(verdict, "checkpoint", functools.partial(_checkpoint, verdict, folder, record))
        _guarded(verdict, "audit", functools.partial(_audit, verdict, folder, record))
        subject = _guarded(verdict, "subject", functools.partial(self._subject, verdict, record))
        if self.scores and whole and subject:
            _guarded(verdict, "scores", functools.partial(self._scores, verdict, folder, record, table, subject))
        elif self.scores:
            verdict.note("scores", "not recomputed: that needs " + ("the subject" if whole else "whole frames"))
        return verdict

    def _frames(self, verdict: Verdict, folder: CellFolder, record: Record, table: pd.DataFrame | None) -> bool:
        """Frames against their hashes, these against the hash over all; True if they can be scored."""
        contents = []
        for frame in video.read_video(folder.frames):
            contents.append(content_hash(frame))
            self.progress("frames", len(contents), record.frames)
        if len(contents) != record.frames:
            verdict.fault("frames", f"{folder.frames} holds {len(contents)} frames, the record says {record.frames}")
        if table is None:
            verdict.note("frames", "not proved: their hashes are in the table")
            return len(contents) == record.frames
        ids, root = table["id"].tolist(), record.provenance.get("frames")
        if "sha256" in table:
            kept = table["sha256"].tolist()
            lines = alterations(ids, kept, contents)
            if root_hash(kept) != root:
                lines.append(f"the frames' hashes in {folder.per_frame.name} are not those that the record vouches for")
        elif len(ids) != len(contents) or root_hash(map(named_hash, ids, contents)) != root:
            lines = [_ROOT_ONLY]
        else:
            lines = []
            verdict.note(
                "frames", f"no hashes of single frames in {folder.per_frame.name}: only all at once are proved"
            )
        for line in lines:
            verdict.fault("frames", line)
        if not lines:
            verdict.proved.append(f"{len(contents)} frames")
        return len(contents) == record.frames

    def _subject(self, verdict: Verdict, record: Record) -> Subject | None:
        """The subject, if it is the one that was scored."""
        name = record.cell.subject
        try:
            subject = self.subjects.get(name) or catalogue.resolve(name)
        except UsageError:
            verdict.note("subject", f"{name} isn't known on this machine: give its folder with --subjects")
            return None
        if subject.root not in self._hashes:
            self.progress("subject", 0, 0)
            self._hashes[subject.root] = catalogue.subject_hash(subject)
        if self._hashes[subject.root] != record.provenance.get("subject"):
            verdict.fault(
                "subject", f"{subject.root} is not, or no longer, the subject that was scored: its hash is another"
            )
            return None
        verdict.proved.append("subject")
        return subject

    def _scores(
        self, verdict: Verdict, folder: CellFolder, record: Record, table: pd.DataFrame | None, subject: Subject
    ) -> None:
        result = differences(folder, record, table, subject, self.rescore, functools.partial(self.progress, "scores"))
        for line in result.unproved:
            verdict.note("scores", line)
        for line in result.wrong:
            verdict.fault("scores", f"{line} ({result.basis})")
        if result.compared and not result.wrong:
            verdict.proved.append(f"{result.compared} numbers recomputed, {result.basis}")


def _guarded(verdict: Verdict, part: Part, check: Callable[[], T]) -> T | None:
    """What the check returns; a file it can't read becomes a finding."""
    try:
        return check()
    except (BenchError, OSError, ValueError) as error:  # ValueError: pyarrow's and JSON's words for a broken file
        verdict.fault(part, " ".join(str(error).split()))
        return None


def _table(folder: CellFolder) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_parquet(folder.per_frame)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder.per_frame} can't be read ({error}); run the cell again") from error
    if "id" not in table:
        raise DataError(f"{folder.per_frame} has no column id; run the cell again")
    return table


def _checkpoint(verdict: Verdict, folder: CellFolder, record: Record) -> None:
    try:
        trained = str(json.loads(folder.trained.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder.trained} can't be read ({error})") from error
    if hash_folder(folder.checkpoint, without={folder.trained.name}) != record.provenance.get("checkpoint"):
        verdict.fault("checkpoint", f"{folder.checkpoint} was changed after training: its hash isn't the record's")
    elif trained != record.provenance.get("checkpoint"):
        verdict.fault("checkpoint", f"{folder.trained} names another hash than the record")
    else:
        verdict.proved.append("checkpoint")


def _audit(verdict: Verdict, folder: CellFolder, record: Record) -> None:
    """The copied share against the maps it was taken from."""
    if record.copied_share is None:
        return
    found = audit.load(folder.audit)
    kept = found.maps.mean(axis=(1, 2)) / 255
    if found.share != record.copied_share:
        verdict.fault(
            "audit",
            f"the record's copied share is {record.copied_share:.10g}, that of {folder.audit} {found.share:.10g}",
        )
    elif abs(kept - found.per_frame).max() > _HALF_LEVEL or abs(kept.mean() - found.share) > _HALF_LEVEL:
        verdict.fault("audit", f"the maps in {folder.audit} give other copied shares than its numbers")
    else:
        verdict.proved.append("copied share")
