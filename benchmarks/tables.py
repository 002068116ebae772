"""The tables of ``docs/performance.md`` from the results.

``python benchmarks/tables.py [--results FOLDER] [--markdown docs/performance.md]``

With ``--markdown``, what stands between a document's ``<!-- table: name -->`` and ``<!-- end -->`` is written anew.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import gate
import results
from contests import OURS, YARDSTICK

Result = dict[str, Any]
_PEER_NAMES = {"good torch, planes batched": "good, planes batched", "good torch": "good", "naive torch": "naive"}


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratio(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return ""
    digits = 0 if ratio["median"] >= 100 else 1 if ratio["median"] >= 10 else 2
    return f"**{ratio['median']:.{digits}f}** ({ratio['low']:.{digits}f}–{ratio['high']:.{digits}f})"


def conditions(result: Result) -> str:
    """One line: where and how it was measured."""
    s = result["setting"]
    others = "" if "others" not in s else f", others took {100 * s['others']:.0f} % of it"
    return (
        f"`python benchmarks/{result['script']}.py --rounds {s['rounds']}`, {s['date']} UTC: {s['cpu']}, {s['cores']} cores{others} "
        f"(load {s['load_before']} before, {s['load_after']} after); path {s['path']}, {s['threads']} threads; torch {s['torch']}, "
        f"{s['torch_threads']} threads; {s['seconds']:.0f} s."
    )


def kernels(result: Result) -> str:
    """Ratios by size, then milliseconds of ours and of the yardstick."""
    cases = result["cases"]
    pairs = dict.fromkeys((c, p) for found in cases.values() for c, f in found.items() for p in f["ratios"])
    ratios = [[f"{c}: {p}", *(_ratio(f.get(c, {}).get("ratios", {}).get(p)) for f in cases.values())] for c, p in pairs]

    def times(contest: str, candidate: str) -> list[str]:
        found = (case.get(contest, {}).get("milliseconds", {}).get(candidate) for case in cases.values())
        return ["" if ms is None else f"{ms['median']:.2f}" for ms in found]

    own = [[f"{c}: ours", *times(c, OURS)] for c in dict.fromkeys(c for c, _ in pairs)]
    first = table(["peer's time / ours", *cases], ratios)
    second = table(["ms", *cases], [*own, [f"the yardstick, {YARDSTICK}", *times("rasterise", YARDSTICK)]])
    return f"{conditions(result)}\n\n{first}\n\n{second}"


def iteration(result: Result) -> str:
    """Speeds and ratios by design and size, then our parts."""
    found = {case: contests["iteration"] for case, contests in result["cases"].items()}
    peers = list(next(iter(found.values()))["ratios"])
    rows = []
    for case, f in found.items():
        ms = f["milliseconds"][OURS]["median"]
        rows.append([case, f"{1e3 / ms:.0f} it/s ({ms:.1f} ms)", *(_ratio(f["ratios"][p]) for p in peers)])
    parts = list(dict.fromkeys(name for f in found.values() for name in f["parts"]))
    shares = [[case, *(f"{f['parts'].get(p, 0.0):.1f}" for p in parts)] for case, f in found.items()]
    first = table(["", "ours", *(f"{_PEER_NAMES[p]} / ours" for p in peers)], rows)
    return f"{conditions(result)}\n\n{first}\n\n{table(['parts of ours, ms', *parts], shares)}"


def render(result: Result) -> str:
    """Frames per second by size."""
    rows = []
    for case, contests in result["cases"].items():
        f = contests["frame"]
        ms = f["milliseconds"][OURS]
        fps = f"**{1e3 / ms['median']:.0f}** ({1e3 / ms['high']:.0f}–{1e3 / ms['low']:.0f})"
        rows.append([case, fps, f"{ms['median']:.1f}", _ratio(f["ratios"]["good torch"])])
    return f"{conditions(result)}\n\n{table(['', 'frames/s', 'ms', 'good torch / ours'], rows)}"


def curves(result: Result) -> str:
    """The conditions only; the figure shows the rest."""
    return conditions(result)


def targets(found: dict[str, Result]) -> str:
    """Targets beside results."""
    thresholds = tomllib.loads(gate.THRESHOLDS.read_text(encoding="utf-8"))
    rows = []
    for v in gate.judge(found, thresholds, partial=True):
        if v.target:
            ratio = {"median": v.found, "low": v.low, "high": v.high}
            rows.append([f"{v.contest}: {v.peer}", v.case, f"≥ {v.least:g}", _ratio(ratio), _told(v)])
    return table(["ratio", "at", "target", "found", ""], rows)


def _told(v: gate.Verdict) -> str:
    return "reached" if v.status == "reached" else f"{v.status} by {100 * (1 - v.found / v.least):.0f} %"


def blocks(found: dict[str, Result]) -> dict[str, str]:
    """Every table whose result is there, by name."""
    made = {"kernels": kernels, "iteration": iteration, "render": render, "curves": curves}
    return {name: made[name](result) for name, result in found.items()} | {"targets": targets(found)}


def fill(document: str, tables: dict[str, str]) -> str:
    """``document`` with the tables in their places."""

    def place(match: re.Match[str]) -> str:
        body = tables.get(match[1])
        return match[0] if body is None else f"<!-- table: {match[1]} -->\n{body}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", place, document, flags=re.S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="FOLDER")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="a document to fill; else the tables are printed")
    given = parser.parse_args()
    tables = blocks(results.read(given.results))
    if given.markdown is None:
        print("\n\n".join(f"{name}\n\n{body}" for name, body in tables.items()))
        return
    given.markdown.write_text(fill(given.markdown.read_text(encoding="utf-8"), tables), encoding="utf-8")
    print(f"→ {given.markdown}")


if __name__ == "__main__":
    main()
