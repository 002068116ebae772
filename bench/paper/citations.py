"""The bibliography: what a run used, and nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench import registry
from bench.errors import BenchError
from bench.names import file_names
from bench.paper.tex import escape
from bench.paths import content
from bench.report.overview import Overview


@dataclass(frozen=True)
class Citations:
    """Keys of ``references.bib`` by what they stand for, and its text."""

    methods: Mapping[str, str]
    """By name, without variant; a method that has no paper isn't there."""
    metrics: Mapping[str, str]
    detectors: Mapping[str, str]
    bibtex: str


def citations(overview: Overview) -> Citations:
    """Of the methods that the run has or a table shows, of the measures taken, and of the statistics."""
    known = tomllib.loads(content("reports", "paper", "citations.toml").read_text(encoding="utf-8"))
    records = [cell.record for cell in overview.run.cells if cell.record]
    methods = {key: known["methods"][key] for key in _methods(overview) if key in known["methods"]}
    own = {name: text for name in _methods(overview) if name not in methods and (text := _own_entry(name))}
    metrics = _of(known["metrics"], (name for record in records for name in record.metrics))
    detectors = _of(known["detectors"], (record.provenance.get("detector", "") for record in records))
    wanted = dict.fromkeys([*methods.values(), *metrics.values(), *detectors.values(), *known["always"]])
    library = _library()
    text = "\n\n".join([*(library[key] for key in wanted), *own.values()]) + "\n"
    return Citations(methods | {name: _own_key(name) for name in own}, metrics, detectors, text)


def _of(known: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: known[name] for name in dict.fromkeys(names) if name in known}


def _methods(overview: Overview) -> list[str]:
    tables = [overview.table_1, *(view.table for view in overview.ablations)]
    papers = [line.paper.method for table in tables if table for line in table.lines if line.paper]
    return list(dict.fromkeys([*(cell.key.method for cell in overview.run.cells), *papers]))


def _library() -> dict[str, str]:
    text = content("reports", "paper", "references.bib").read_text(encoding="utf-8")
    return {match[1]: match[0] for match in re.finditer(r"^@\w+\{([\w-]+),.*?^\}", text, re.M | re.S)}


def _own_key(name: str) -> str:
    return "method-" + re.sub("[^A-Za-z0-9]", "", file_names([name])[name])


def _own_entry(name: str) -> str:
    """What an installed method states of its paper."""
    try:
        info = registry.info(name) if name in registry.names() else None
    except BenchError:
        return ""
    if info is None or not info.paper:
        return ""
    year = f"  year = {{{info.year}}},\n" if info.year else ""
    return f"@misc{{{_own_key(name)},\n  key = {{{escape(info.title)}}},\n  title = {{{escape(info.paper)}}},\n{year}}}"
