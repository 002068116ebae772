"""Training that runs out of memory goes on with half the batch, where the method's preset allows it; the record says how often."""

from __future__ import annotations

import gc
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from bench.contract import MethodInfo
from bench.errors import BenchWarning
from bench.paths import write_text

MOST = 3
"""Halvings: a batch below an eighth is another training."""


def with_halvings(info: MethodInfo, preset: str, kept: Path, train: Callable[[int], None]) -> int:
    """Call ``train`` with the number of halvings, more of them whenever memory runs out; return the last.

    ``kept`` remembers them, so that a resumed training goes on with the batch it had. What the kernel kills for its memory
    can't be caught: only what Python, torch or CUDA raises.
    """
    halvings = _read(kept)
    while True:
        try:
            train(halvings)
            return halvings
        except Exception as error:
            if preset not in info.shrinks or halvings == MOST or not _is_memory(error):
                raise
            halvings += 1
            write_text(kept, json.dumps(halvings) + "\n")
            text = f"{info.name} ran out of memory ({str(error).splitlines()[0][:120]}): it goes on with 1/{2**halvings} of its batch"
            warnings.warn(text, BenchWarning, stacklevel=2)
        _free()


def _is_memory(error: Exception) -> bool:
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def _free() -> None:
    gc.collect()
    if (torch := sys.modules.get("torch")) and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _read(kept: Path) -> int:
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    return min(max(found, 0), MOST) if isinstance(found, int) else 0
