"""The gate: holds the results' ratios against ``gate.toml``. Exit code 3 when one is missed.

``python benchmarks/gate.py [--results FOLDER] [--thresholds FILE] [--json]``

A ratio is *missed* when its median lies below the threshold by more than the allowance, and *short* when it is below by less.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import results

THRESHOLDS = Path(__file__).with_name("gate.toml")
REGRESSED = 3
"""The exit code of ``bench`` for metrics that regressed."""


@dataclass(frozen=True)
class Verdict:
    """A threshold and what was measured."""

    script: str
    case: str
    contest: str
    peer: str
    least: float
    found: float
    low: float
    high: float
    allowance: float
    target: bool
    """One of the design's targets; else only "no slower than torch"."""
    told: bool
    """Only told, never missed."""

    @property
    def status(self) -> str:
        """``reached``, ``short`` or ``missed``."""
        if self.found >= self.least:
            return "reached"
        return "short" if self.told or self.found >= self.least * (1 - self.allowance) else "missed"


def judge(found: dict[str, dict[str, Any]], thresholds: dict[str, Any], partial: bool = False) -> Iterator[Verdict]:
    """A verdict a threshold and case; ``partial``: leave out what wasn't measured.

    Raises:
        KeyError: a ratio wasn't measured.
    """
    for gate in thresholds["gate"]:
        for case in gate["cases"]:
            names = (gate["script"], case, gate["contest"], gate["peer"])
            try:
                ratio = found[names[0]]["cases"][case][names[2]]["ratios"][names[3]]
            except KeyError:
                if partial:
                    continue
                raise KeyError(" / ".join(names)) from None
            kind = (gate.get("target", True), gate.get("told", False))
            yield Verdict(
                *names, gate["least"], ratio["median"], ratio["low"], ratio["high"], thresholds["allowance"], *kind
            )


def _line(v: Verdict) -> str:
    name = f"{v.case:24s} {v.contest:10s} {v.peer:21s}"
    return f"{name} {v.found:7.2f} ({v.low:.2f}–{v.high:.2f})".ljust(80) + f" ≥ {v.least:<5g} {v.status}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="FOLDER")
    parser.add_argument("--thresholds", type=Path, default=THRESHOLDS, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    given = parser.parse_args()
    found = results.read(given.results)
    quick = any(result["setting"].get("quick") for result in found.values())
    try:
        verdicts = list(judge(found, tomllib.loads(given.thresholds.read_text(encoding="utf-8")), partial=quick))
    except KeyError as missing:
        sys.exit(f"error: no result for {missing} in {given.results}: run `nox -s bench` first")
    if given.json:
        print(json.dumps([asdict(v) | {"status": v.status} for v in verdicts], ensure_ascii=False))
    else:
        print("\n".join(map(_line, verdicts)))
    missed = sum(v.status == "missed" for v in verdicts)
    if missed:
        print(f"{missed} of {len(verdicts)} ratios missed", file=sys.stderr)
        sys.exit(REGRESSED)


if __name__ == "__main__":
    main()
