"""Every error a user can meet, in one tree.

::

    BenchError                 exit code 1
    ├── UsageError             2   wrong flag, unknown name, bad configuration: nothing was started
    ├── DataError              2   a subject, video or file is missing, broken or of the wrong shape
    ├── AbsentError            1   something optional is not installed or not downloaded (weights, GPU, Docker)
    ├── MethodError            1   a method broke its contract (frames missing, NaN loss, wrong size)
    ├── RecordError            1   a record, checkpoint or cache entry on disk can't be trusted
    └── InvalidResultError     4   scores exist but may not be used (coverage below the bound)

A message is one line: what went wrong, and what to do about it. The command line prints it as
``error: …`` and ends with the class's exit code; a traceback appears only under ``--debug``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Base of all errors that are the world's fault, not a bug of ours."""

    exit_code = 1


class BenchWarning(UserWarning):
    """Something goes on, but not as it should: shown to the user once, with the remedy."""


class UsageError(BenchError):
    """The command line or configuration asks for something that can't be."""

    exit_code = 2


class DataError(BenchError):
    """A subject folder, video, or image is missing, broken, or of the wrong shape."""

    exit_code = 2


class AbsentError(BenchError):
    """Something optional is not here; the message says how to get it."""


class MethodError(BenchError):
    """A method did not keep its contract."""


class RecordError(BenchError):
    """A file that talkbench wrote earlier can't be read or trusted any more."""


class InvalidResultError(BenchError):
    """Scores were computed but don't meet the protocol's validity bound."""

    exit_code = 4


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """A :class:`UsageError` for an unknown name, with the nearest known names.

    >>> str(unknown("method", "degtalk", ["degstalk", "copy-gt"]))
    "unknown method 'degtalk': did you mean 'degstalk'? (known: copy-gt, degstalk)"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    hint = f": did you mean {' or '.join(repr(n) for n in near)}?" if near else ";"
    return UsageError(f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})")


def in_one_line(error: object) -> str:
    """Its text without line breaks.

    >>> in_one_line("first\\n  second")
    'first second'
    """
    return " ".join(str(error).split())
