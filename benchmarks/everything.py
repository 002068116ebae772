"""All benchmarks, then the gate: ``python benchmarks/everything.py [--quick] [--rounds N] [--results FOLDER] [--markdown]``.

With ``--markdown``, the tables and curves of ``docs/performance.md`` are written anew from this run. The exit code is the gate's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import results
import timing

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "performance.md"
SCORING = ("--frames", "12", "--rounds", "1")
"""Scoring is no part of the gate: its figures, at full length, are those of docs/results.md."""
PREPARING = ("--frames", "100")
"""Nor is preparing, whose target is a share of real time and not a ratio."""


def run(script: str, *arguments: str) -> int:
    """A script in a process of its own; its exit code."""
    print(f"\n== {script} {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-P", str(HERE / f"{script}.py"), *arguments]
    return subprocess.run(command, env=os.environ | timing.ENVIRONMENT, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smallest sizes only")
    parser.add_argument("--rounds", type=int, help="turns of each candidate (default: each script's own)")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="FOLDER")
    parser.add_argument("--markdown", action="store_true", help=f"write the tables of {DOCUMENT.name}")
    given = parser.parse_args()
    options = ["--quick"] if given.quick else []
    options += ["--rounds", str(given.rounds)] if given.rounds else []
    for script in results.SCRIPTS:
        plot = ["--plot", str(_plot(given.results, given.markdown))] if script == "curves" else []
        if code := run(script, *options, "--json", str(given.results / f"{script}.json"), *plot):
            sys.exit(code)
    if not given.quick:
        run("scoring", *SCORING)
        run("prepare", *PREPARING)
    if given.markdown:
        shutil.copy(given.results / "curves.json", _plot(given.results, True).with_suffix(".json"))
        run("tables", "--results", str(given.results), "--markdown", str(DOCUMENT))
    sys.exit(run("gate", "--results", str(given.results)))


def _plot(folder: Path, document: bool) -> Path:
    """Where the curves are drawn."""
    return (DOCUMENT.parent / "performance" if document else folder) / "curves.svg"


if __name__ == "__main__":
    main()
