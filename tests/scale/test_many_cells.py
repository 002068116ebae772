"""However many cells a run has, the process that drives it holds none of their records, and asks of each cell once."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.records import CellKey, Record, load_record, save
from bench.run import executor, index, session
from bench.run.layout import Job
from bench.run.standing import standing

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import cells  # noqa: E402
import many  # noqa: E402


class Watch:
    """A display that remembers records weakly, and how many of them were there at the same time."""

    def __init__(self) -> None:
        self.over: list[CellKey] = []
        self.notes: list[str] = []
        self.most = 0
        self._records: list[weakref.ref[Record]] = []

    def started(self, cell: CellKey) -> None:
        pass

    def event(self, cell: CellKey, event: dict[str, Any]) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def ended(self, cell: CellKey, record: Record) -> None:
        self.over.append(cell)
        self._records.append(weakref.ref(record))
        self.most = max(self.most, sum(ref() is not None for ref in self._records))


def _at_once(jobs: Sequence[Job], *, watcher: Watch, **_: object) -> Generator[Record, None, None]:
    """An executor whose cells take no time."""
    for job in jobs:
        save(job.folder.record, Record.model_validate(many.record(job.cell) | {"provenance": _provenance(job)}))
        record = load_record(job.folder.record)
        watcher.ended(job.cell, record)
        yield record


def _provenance(job: Job) -> dict[str, str]:
    return {"subject": job.subject_hash, "detector": job.detector, "protocol": "neutral:1"}


def _run(prepared: Any, execute: Any, watch: Watch) -> None:
    session.run_cells(
        prepared, execute, parallel=2, threads=1, limit=None, force=False, reuse=False, display=watch
    )  # fmt: skip


def test_the_session_holds_no_records(tmp_path: Path) -> None:
    prepared, watch = cells.prepared(tmp_path / "run", 300), Watch()
    held: list[int] = []

    def measured(jobs: Sequence[Job], **options: Any) -> Iterator[Record]:
        for count, record in enumerate(_at_once(jobs, **options), start=1):
            if count in (100, 300):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
            yield record

    tracemalloc.start()
    try:
        _run(prepared, measured, watch)
    finally:
        tracemalloc.stop()
    assert watch.over == prepared.plan.cells
    assert watch.most <= 2
    assert held[1] - held[0] < 200 * 1000, "of 200 records of 30 kB"
    found = index.refresh(tmp_path / "run")
    assert (len(found.entries), found.read) == (300, 0)  # the session left an index that is up to date


def test_what_is_done_is_found_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = cells.prepared(tmp_path / "run", 100)
    _run(prepared, _at_once, Watch())
    seen: list[weakref.ref[Record]] = []
    alive: list[int] = []

    def watched(job: Job) -> Any:
        stand = standing(job)
        assert stand.record
        seen.append(weakref.ref(stand.record))
        alive.append(sum(ref() is not None for ref in seen))
        return stand

    monkeypatch.setattr(session, "standing", watched)
    watch = Watch()
    _run(prepared, _at_once, watch)
    assert (watch.over, len(seen)) == ([], 100)
    assert max(alive) <= 2


def test_the_local_executor_compares_no_cell_with_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real processes, of a program that is over at once."""
    monkeypatch.setattr(sys, "executable", str(cells.fake(tmp_path, [0.0])))
    compared: list[object] = []
    monkeypatch.setattr(Job, "__eq__", lambda job, other: compared.append(other) or job is other)
    prepared, watch = cells.prepared(tmp_path / "run", 60), Watch()
    _run(prepared, executor.execute, watch)
    assert sorted(watch.over, key=str) == sorted(prepared.plan.cells, key=str)
    assert {entry.status for entry in index.refresh(tmp_path / "run").entries.values()} == {"ok"}
    assert watch.most <= 2
    assert compared == []
