"""The field's data folders, in and out: AD-NeRF, RAD-NeRF, ER-NeRF, SyncTalk, TalkingGaussian, DEGSTalk.

:func:`bench.formats.export.export` writes a folder that a method's official code reads,
:func:`bench.formats.bring.bring` makes a subject folder (docs/subject-folder.md) from one that its scripts made.
"""

from __future__ import annotations

from pathlib import Path

from bench.errors import DataError, unknown
from bench.formats import adnerf, degstalk, ernerf, synctalk, talkinggaussian
from bench.formats.layout import Layout

FORMATS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        adnerf.LAYOUT,
        ernerf.RAD_NERF,
        ernerf.ER_NERF,
        synctalk.LAYOUT,
        talkinggaussian.LAYOUT,
        degstalk.LAYOUT,
    )
}
"""Every layout, by name."""

_ORDER = ("degstalk", "synctalk", "ad-nerf", "talkinggaussian", "er-nerf")
"""The order in which layouts are tried: each has what the ones after it have, and more. RAD-NeRF's looks like ER-NeRF's."""


def get(name: str) -> Layout:
    """The layout called ``name``; UsageError with the nearest names if there is none."""
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return FORMATS[name]


def detect(folder: Path) -> Layout:
    """The layout of a folder, by the files that only it has.

    Raises:
        DataError: no folder, or none of the layouts.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one that a method's own scripts made")
    for name in _ORDER:
        if all(any(folder.glob(mark)) for mark in FORMATS[name].marks):
            return FORMATS[name]
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise DataError(
        f"{folder} has the layout of none of {', '.join(FORMATS)} (it holds {there}); say --format if it is one"
    )
