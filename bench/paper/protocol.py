"""What the evaluation paragraph has to say of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import protocol
from bench.errors import BenchError
from bench.metrics import METRICS
from bench.paper.citations import Citations
from bench.paper.tables import usable
from bench.paper.tex import Tex, render
from bench.protocol.text import rules
from bench.records import Record
from bench.report.overview import Overview
from bench.report.rows import Row, Summary
from bench.stats.levels import MIN_SUBJECTS

_TOLD = ("ground truth", "canvas", "8 bits", "codec", "regions", "unscored frames")
"""Rules of a protocol that are told; the others are told otherwise."""


@dataclass(frozen=True)
class MeasureFacts:
    """One measure."""

    label: str
    definition: str
    cite: str


@dataclass(frozen=True)
class MethodFacts:
    """What one method draws over."""

    label: str
    sees: str
    canvas: str
    copied: str
    cite: str


@dataclass(frozen=True)
class Facts:
    """Everything in the paragraph, as text that isn't LaTeX yet."""

    run: str
    version: str
    protocol: str
    methods: str
    subjects: str
    preset: str
    seeds: str
    frames: str
    references: str
    rules: Mapping[str, str]
    measures: Sequence[MeasureFacts]
    detector: str
    detector_cite: str
    sees: Sequence[MethodFacts]
    levels: str
    hardware: str


def facts(overview: Overview, cited: Citations) -> Facts:
    """Of a run, from its plan and records."""
    run, rows = overview.run, list(usable(overview.summary))
    records = [cell.record for cell in run.cells if cell.record and cell.status == "ok"]
    seeds = sorted({cell.key.seed for cell in run.cells})
    detector = next((found for record in records if (found := record.provenance.get("detector"))), "")
    references = [row.method for row in overview.summary.rows if row.is_reference and row.status == "ok"]
    levels = (["seeds"] if len(seeds) > 1 else []) + (["subjects"] if len(run.subjects) >= MIN_SUBJECTS else [])
    return Facts(
        run=run.path.resolve().name,
        version=run.plan.versions.get("talkbench", "") or next((r.versions.get("talkbench", "") for r in records), ""),
        protocol=next((r.provenance.get("protocol", "") for r in records), "") or run.plan.protocol,
        methods=listed([row.method for row in rows]) or "No methods",
        subjects=listed(run.subjects),
        preset=", ".join(dict.fromkeys(cell.key.preset for cell in run.cells)),
        seeds=", ".join(map(str, seeds)),
        frames=_frames(records),
        references=listed(references),
        rules=_rules(run.plan.protocol),
        measures=_measures(overview.summary, cited),
        detector=detector,
        detector_cite=cited.detectors.get(detector, ""),
        sees=[_method(row, records, cited) for row in rows],
        levels=" and ".join(levels),
        hardware="; ".join(filter(None, dict.fromkeys(map(_machine, records)))),
    )


def listed(names: Sequence[str]) -> str:
    """``a, b and c``"""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _frames(records: Sequence[Record]) -> str:
    """``37 frames of ada (256 × 256 pixels)``"""
    sizes = {r.cell.subject: (r.frames, *r.size) for r in records if r.frames}
    return listed([f"{n} frames of {name} ({w} × {h} pixels)" for name, (n, w, h) in sizes.items()]) or "no frames"


def _machine(record: Record) -> str:
    return ", ".join(f"{key} {value}" for key, value in record.hardware.items())


def _rules(name: str) -> dict[str, str]:
    try:
        found = rules(protocol.get(name))
    except BenchError:  # a protocol that is not installed here: its name has been told
        return {}
    return {rule: found[rule] for rule in _TOLD}


def _measures(summary: Summary, cited: Citations) -> list[MeasureFacts]:
    """Those of the main table; what the others are is in docs/metrics.md and `bench metrics list`."""
    shown = {c.measure for c in summary.section("main") if any(r.values[c.key].state == "ok" for r in summary.rows)}
    return [
        MeasureFacts(metric.label, metric.definition.rstrip(".") + ".", cited.metrics.get(name, ""))
        for name, metric in METRICS.items()
        if name in shown
    ]


def _method(row: Row, records: Sequence[Record], cited: Citations) -> MethodFacts:
    key = row.children[0].key
    assert key is not None
    own = [record for record in records if record.cell.label == key.label]
    sees = sorted({what.replace("_", " ") for record in own for what in record.sees})
    copied = row.values["copied"].value
    share = "" if copied is None else f"{100 * copied:.0f}"
    return MethodFacts(
        row.method, listed(sees) or "nothing", row.canvas or "nothing stated", share, cited.methods.get(key.method, "")
    )


def paragraph(found: Facts) -> Tex:
    """The facts in LaTeX."""
    return Tex(render("protocol.tex.j2", facts=found))
