"""Times and sizes for people."""

from __future__ import annotations

UNKNOWN = "unknown"


def duration(seconds: float | None) -> str:
    """A time, to two or three digits.

    >>> duration(None), duration(41.2), duration(160), duration(8000)
    ('unknown', '41 s', '3 min', '2.2 h')
    """
    if seconds is None:
        return UNKNOWN
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def size(count: float | None) -> str:
    """A number of bytes.

    >>> size(None), size(700), size(3 * 2**20), size(3 * 2**30)
    ('unknown', '700 B', '3.0 MiB', '3.0 GiB')
    """
    if count is None:
        return UNKNOWN
    unit = "B"
    for larger in ("KiB", "MiB", "GiB"):
        if count < 1000:
            break
        count, unit = count / 1024, larger
    return f"{count:.1f} {unit}" if unit == "GiB" or (count < 10 and unit != "B") else f"{count:.0f} {unit}"
