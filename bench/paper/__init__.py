"""The paper kit: a run as LaTeX tables, figures, an evaluation paragraph and a bibliography, in a folder that compiles.

``tables`` makes grids of what :mod:`bench.report` computed and ``latex`` sets them; ``choice`` picks frames and crops by rule, and
``pictures`` and ``plots`` draw; ``protocol`` and ``citations`` write what belongs around the numbers; ``kit`` puts it together.
"""

from __future__ import annotations

from bench.paper.kit import Kit, build

__all__ = ["Kit", "build"]
