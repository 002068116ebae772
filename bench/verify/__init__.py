"""``bench verify``: whether frames, checkpoints and scores are what a run's records say."""

from __future__ import annotations

from bench.verify.cells import Finding, Verdict, verify

__all__ = ["Finding", "Verdict", "verify"]
