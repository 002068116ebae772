"""The report of a run: tables, curves and players, all of them views over its records.

``data`` reads a run folder, ``tables`` averages it into rows, ``charts`` turns rows and curves into geometry, ``media``
decides what is embedded, and ``page`` puts everything into the templates of ``reports/``. ``condensed`` and ``condensed_page``
do so for a run of very many cells.
"""

from __future__ import annotations

from pathlib import Path

from bench.report import condensed_page, page
from bench.report.overview import Overview

__all__ = ["build"]


def build(run: Path | Overview) -> Path:
    """Write the report of a run folder and return its path; the same run gives the same bytes.

    Raises:
        RecordError: ``run`` is not a run folder.
    """
    overview = Overview.to_show(run)
    return (condensed_page if overview.is_condensed else page).build(overview)
