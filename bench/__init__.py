"""talkbench: the benchmark harness for talking-face synthesis.

The public functions load what they need when first used, so that ``import bench`` costs nothing.

>>> import bench
>>> run = bench.load("runs/quick-degstalk-1a2b3c4d")     # doctest: +SKIP
>>> run.table()[["method", "subject", "psnr", "lmd"]]    # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.run.results import load
    from bench.scoring import score
    from bench.subject import open_subject

__version__ = "0.1.0"
__all__ = ["__version__", "load", "open_subject", "score"]

_HOMES = {"load": "bench.run.results", "open_subject": "bench.subject", "score": "bench.scoring"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
