"""What a check says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of ``bench data verify``."""

    check: str
    state: State
    text: str


def some(ids: Iterable[int], most: int = 5) -> str:
    """The first few of many frame ids, for people."""
    texts = [str(int(i)) for i in ids]
    return ", ".join(texts[:most]) + (" …" if len(texts) > most else "")


def worst(check: str, found: Sequence[tuple[State, str]], good: str) -> Finding:
    """One finding of several remarks: the gravest state, all their texts; ``good`` where there is none."""
    if not found:
        return Finding(check, "ok", good)
    state: State = "fail" if any(state == "fail" for state, _ in found) else "warn"
    return Finding(check, state, "; ".join(text for _, text in found))
