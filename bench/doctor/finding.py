"""One line of ``bench doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """How it is with one thing."""

    what: str
    state: Literal["ok", "absent", "broken"]
    """``absent``: optional and not here; ``broken``: talkbench can't do its job."""
    detail: str
    remedy: str = ""
    """What to do; empty where nothing is to be done."""
