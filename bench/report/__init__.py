"""The report of a run: tables, curves and players, all of them views over its records.

``data`` reads a run folder, ``tables`` averages it into rows, ``charts`` turns rows and curves into geometry, ``media``
decides what is embedded, and ``page`` puts everything into the templates of ``reports/``.
"""

from __future__ import annotations

from bench.report.page import build

__all__ = ["build"]
