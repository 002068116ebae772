"""What the scripts share beside measuring: their options, and the results folder.

A result is one JSON document: ``{"script", "setting", "cases": {case: {contest: {"milliseconds": {candidate: quartiles},
"ratios": {peer: quartiles}}}}}``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
SCRIPTS = ("kernels", "iteration", "render", "curves")


def options(description: str, script: str, rounds: int) -> argparse.ArgumentParser:
    """The options of every script that measures."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="turns of each candidate")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes only, to see that it runs")
    parser.add_argument(
        "--json", type=Path, default=FOLDER / f"{script}.json", metavar="FILE", help="where the result goes"
    )
    return parser


def write(path: Path, result: dict[str, Any]) -> None:
    """Keep a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"→ {path}")


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The results in a folder, by script; those that aren't there are left out."""
    files = {script: folder / f"{script}.json" for script in SCRIPTS}
    return {script: json.loads(file.read_text(encoding="utf-8")) for script, file in files.items() if file.exists()}


def show(case: str, contests: dict[str, Any]) -> None:
    """One line a candidate: milliseconds, and for a peer the ratio with its quartiles."""
    print(case)
    for contest, found in contests.items():
        for candidate, ms in found["milliseconds"].items():
            line = f"  {contest:10s} {candidate:28s} {ms['median']:9.2f} ms"
            ratio = found["ratios"].get(candidate)
            print(
                line if ratio is None else f"{line}   {ratio['median']:7.2f} × ({ratio['low']:.2f}–{ratio['high']:.2f})"
            )
