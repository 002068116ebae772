"""An index of a run folder's records, ``index.parquet``: what lists and tables show of each, without reading them all again.

It is a cache; the truth is in the records. Whoever wants the index brings it up to date, and for that reads those records
that were written since: time, size and inode tell. Records that can't be read are never in it. An index that is broken, or
of another version, is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import BenchWarning, RecordError
from bench.paths import atomic_file
from bench.records import CellKey, Record, Status, load_record

NAME = "index.parquet"
_VERSION = b"1"
_MARK = b"talkbench.index"
"""In the file's metadata: the version, and a hash of the columns, since Parquet's own checksums are of what is in them."""
_CHUNK = 2000
"""Records that are held at the same time while the index is made."""
_KEY = tuple(CellKey.model_fields)
_FILE = {"file.folder": pa.string(), "file.mtime_ns": pa.int64(), "file.size": pa.int64(), "file.inode": pa.int64()}
"""Which record a row is of. Columns with a dot in their name are for us, the others for tables."""
_TYPES = _FILE | {
    **dict.fromkeys(_KEY, pa.string()),
    **{"seed": pa.int64(), "status": pa.string(), "error": pa.string()},
    **{"peak_memory_bytes": pa.int64(), "canvas": pa.string(), "fps": pa.float64(), "train_seconds": pa.float64()},
    **dict.fromkeys(("cell.name", "cell.kind", "cell.ways"), pa.string()),
    "cell.seconds": pa.float64(),
}
"""Of columns that every index has."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list says of a record."""

    name: str
    """Of its cell."""
    status: Status
    error: str | None
    seconds: float


@dataclass(frozen=True)
class Index:
    """All records of a run folder."""

    table: pa.Table
    """A row for each record that can be read, ordered by folder: :data:`_FILE`, :func:`flat` and :func:`_more`."""
    problems: Mapping[str, str]
    """Why the others can't be read, by folder."""
    read: int
    """Records that had to be read just now."""

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """What lists say of each, by folder."""
        columns = (self.table[name].to_pylist() for name in ("cell.name", "status", "error", "cell.seconds"))
        return dict(zip(self.table["file.folder"].to_pylist(), map(Entry, *columns), strict=True))

    def look(self, name: str) -> tuple[Entry | None, str]:
        """What is known of the record of the cell ``name``, or, where that can't be used, why; neither: there is none."""
        entry = self.entries.get(name)
        if entry and entry.name != name:
            return None, f"{name}/record.json is the record of {entry.name}; remove it and run again"
        return entry, self.problems.get(name, "")

    def key(self, folder: str) -> CellKey:
        """Which cell a record is of."""
        row = self.table.filter(pc.equal(self.table["file.folder"], folder)).select(_KEY).to_pylist()[0]
        return CellKey.model_construct(**row)


def refresh(run: Path) -> Index:
    """The index of the run folder ``run``; what was not up to date is, on disk, too."""
    there, old = _there(run), _load(run / NAME)
    if old is not None and old.select(_FILE).equals(there):
        return Index(old, {}, 0)
    known, changed = _compared(old if old is not None else _table([]), there)
    parts, problems = [known], dict[str, str]()
    for start in range(0, len(changed), _CHUNK):
        parts.append(_checked(list(_rows(run, changed[start : start + _CHUNK], problems)), problems))
    table = pa.concat_tables(parts, promote_options="default").sort_by("file.folder")
    if old is None or not len(old) == len(known) == len(table):
        _save(run / NAME, table)
    return Index(table, problems, len(changed))


def flat(record: Record) -> dict[str, Any]:
    """A row of the table of all numbers: what the cell is, its measures with their regions, speed and time."""
    what = record.cell.model_dump() | {"status": record.status, "error": record.error}
    measures: dict[str, Any] = {}
    for name, metric in record.metrics.items():
        measures |= {name: metric.value, f"{name}_state": metric.state}
        measures |= {f"{name}_{region}": value for region, value in metric.regions.items()}
    return {
        **what,
        **measures,
        **what,  # whatever a measure may be called
        "fps": record.fps.render,
        "train_seconds": record.train_seconds.get("total", 0.0),
        "peak_memory_bytes": record.peak_memory_bytes,
        "canvas": record.canvas,
    }


def _more(record: Record) -> dict[str, Any]:
    """What else lists and :mod:`bench.report.condensed` need."""
    row: dict[str, Any] = {"cell.name": record.cell.name, "cell.seconds": record.seconds}
    row |= {"cell.kind": record.kind, "cell.ways": _ways(record)}
    row |= {"cell.copied": record.copied_share, "cell.end_to_end": record.fps.end_to_end}
    row |= {"cell.p95": record.fps.render_p95_ms}
    row |= {f"cell.train:{stage}": spent for stage, spent in record.train_seconds.items() if stage != "total"}
    for name, metric in record.metrics.items():
        row |= {f"{name}.n": metric.n[0], f"{name}.of": metric.n[1]}
    return row


def _ways(record: Record) -> str:
    """Equal for records that differ in nothing but their numbers: measured alike, in the same states, on machines alike."""
    costs = record.fps.model_dump() | record.train_seconds
    costs |= {"copied": record.copied_share, "memory": record.peak_memory_bytes}
    measures = {
        name: (
            _without_coverage(metric.signature),
            (metric.state, metric.unit, metric.higher_is_better),
            [(region, value is None) for region, value in metric.regions.items()],
        )
        for name, metric in record.metrics.items()
    }
    lacks = [name for name, value in costs.items() if value is None]
    about = (record.kind, record.canvas, record.hardware, list(costs), lacks, measures)
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


@lru_cache(4096)
def _without_coverage(signature: str) -> str:
    return "|".join(part for part in signature.split("|") if not part.startswith("n:"))


def _there(run: Path) -> pa.Table:
    """The records that are there, by folder: what tells that a file is still the same.

    Time and size, and the inode, since a record that is written again has another one.
    """
    cells = os.fspath(run / "cells")
    found = list(_found(cells)) if os.path.isdir(cells) else []
    columns = zip(*found, strict=True) if found else ([] for _ in _FILE)
    return pa.table({name: pa.array(column, _FILE[name]) for name, column in zip(_FILE, columns, strict=True)})


def _found(root: str, outer: str = "") -> Iterator[tuple[str, int, int, int]]:
    for name in sorted(os.listdir(root)):
        try:
            stat = os.stat(f"{root}/{name}/record.json")
        except NotADirectoryError:
            continue
        except FileNotFoundError:
            if not outer and os.path.isdir(f"{root}/{name}"):  # a label may hold a slash
                yield from _found(f"{root}/{name}", f"{name}/")
            continue
        yield outer + name, stat.st_mtime_ns, stat.st_size, stat.st_ino


def _compared(old: pa.Table, there: pa.Table) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The rows whose record is still the one that they were made of, and the files of the other records."""
    files, known = (table.select(list(_FILE)).to_pylist() for table in (there, old))
    now = {file["file.folder"]: file for file in files}
    same = [now.get(file["file.folder"]) == file for file in known]
    have = {file["file.folder"] for file, is_same in zip(known, same, strict=True) if is_same}
    return old.filter(pa.array(same, pa.bool_())), [file for file in files if file["file.folder"] not in have]


def _rows(run: Path, files: Sequence[dict[str, Any]], problems: dict[str, str]) -> Iterator[dict[str, Any]]:
    for file in files:
        folder = file["file.folder"]
        try:
            record = load_record(run / "cells" / folder / "record.json")
        except RecordError as error:
            problems[folder] = str(error)
        else:
            yield file | flat(record) | _more(record)


def _checked(rows: Sequence[Mapping[str, Any]], problems: dict[str, str]) -> pa.Table:
    """A table of the rows; those with a number that no column can hold are among the problems instead."""
    try:
        return _table(rows)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        if len(rows) == 1:
            folder = rows[0]["file.folder"]
            problems[folder] = f"{folder}/record.json does not fit into a table ({error}); remove it and run again"
            return _table([])
        half = len(rows) // 2
        return pa.concat_tables(
            [_checked(part, problems) for part in (rows[:half], rows[half:])], promote_options="default"
        )


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row) or _TYPES
    return pa.table({name: pa.array([row.get(name) for row in rows], _type(name)) for name in names})


def _type(name: str) -> pa.DataType:
    if name in _TYPES:
        return _TYPES[name]
    if name.endswith("_state"):
        return pa.string()
    return pa.int64() if name.endswith((".n", ".of")) else pa.float64()


def _load(path: Path) -> pa.Table | None:
    """The index on disk; None if there is none that can be used."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        mark = (table.schema.metadata or {}).get(_MARK, b"")
        if mark.partition(b" ")[0] != _VERSION:
            return None
        if mark == _mark(table) and _TYPES.keys() <= set(table.column_names):
            return table
        reason = "other columns"
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
    warnings.warn(f"{path} was broken ({reason}): it is made anew from the records", BenchWarning, stacklevel=3)
    return None


def _mark(table: pa.Table) -> bytes:
    schema = table.schema.remove_metadata().to_string()
    return _VERSION + b" " + hashlib.sha256(schema.encode()).hexdigest().encode()


def _save(path: Path, table: pa.Table) -> None:
    try:
        with atomic_file(path) as temporary:
            marked = table.replace_schema_metadata({_MARK: _mark(table)})
            pq.write_table(marked, temporary, write_page_checksum=True)
    except OSError as error:
        text = f"{path} can't be written ({error.strerror or error}): the records are read again each time"
        warnings.warn(text, BenchWarning, stacklevel=3)
