"""What ``bench data verify`` looks at, one finding a check."""

from __future__ import annotations

from collections.abc import Mapping

from bench.checks import motion, pictures, timing
from bench.checks.finding import Finding, State
from bench.checks.survey import Survey, survey

__all__ = ["Finding", "State", "Survey", "run", "survey"]

_CHECKS = (
    pictures.frames,
    timing.split,
    timing.sound,
    pictures.face,
    pictures.parts,
    motion.poses,
    motion.reprojection,
    motion.blinks,
    timing.drift,
)


def run(found: Survey, card: Mapping[str, object] | None = None) -> list[Finding]:
    """All findings; with ``card`` also whether the subject is the one that its card describes."""
    extra = [pictures.card(found, card)] if card else []
    return [check(found) for check in _CHECKS] + extra
