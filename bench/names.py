"""Names of methods and subjects as names of files: whatever they hold, nothing leaves the folder or breaks a tool."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 80


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name (ASCII letters, digits, ``.``, ``_``, ``-``; without suffix) for each name; no two alike, whatever their case.

    >>> file_names(["ada", "../etc", "bo&b", "bo b", ".hidden"])
    {'ada': 'ada', '../etc': 'etc', 'bo&b': 'bo-b', 'bo b': 'bo-b-2', '.hidden': 'hidden'}
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = re.sub(r"[^A-Za-z0-9_.]+", "-", name)[:_LONGEST].strip("-.") or "unnamed"
        count, free = 1, plain
        while free.lower() in taken:
            count += 1
            free = f"{plain}-{count}"
        taken.add(free.lower())
        found[name] = free
    return found
