"""Does a method keep the contract? Checks that run it on a small subject (``bench methods check``).

It is trained twice, killed once in the middle, rendered whole and in part. What holds of a method that passes: it can be run, stopped,
resumed and compared by the harness. That it is any good is what `bench run` is for.
"""

from __future__ import annotations

from bench.conformance.checks import CHECKS, Check, Outcome, run

__all__ = ["CHECKS", "Check", "Outcome", "run"]
