"""Write a subject as the folder that a method's official code reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import __version__, paths, threads
from bench.errors import AbsentError, DataError
from bench.formats.layout import Lack, Layout, Out
from bench.subject import Frame, Subject


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    folder: Path
    files: tuple[str, ...]
    """The layout's names of what is there."""
    lacks: tuple[Lack, ...]


def lacks(subject: Subject, layout: Layout) -> list[Lack]:
    """What of the layout can't be made from the subject."""
    reasons = [(part, part.lack(subject)) for part in layout.parts]
    return [Lack(part.files, why, part.needed) for part, why in reasons if why is not None]


def refuse(found: list[Lack], what: str) -> None:
    """Raise if a needed file is among ``found``.

    Raises:
        AbsentError: with the first one's remedy, and the names of the others.
    """
    needed = [lack for lack in found if lack.needed]
    if needed:
        others = f" (also: {', '.join(lack.files for lack in needed[1:])})" if needed[1:] else ""
        raise AbsentError(f"{what} lacks {needed[0].files}: {needed[0].why}{others}; --partial writes the rest")


def empty(folder: Path) -> None:
    """Raise unless ``folder`` can be made: nothing of the user's is ever overwritten.

    Raises:
        DataError: it is there and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already; give another --out, or remove it")


def export(
    subject: Subject,
    layout: Layout,
    folder: Path,
    *,
    partial: bool = False,
    link: bool = False,
    home: Path | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write ``folder``, which must not be there yet; a killed export leaves nothing.

    :param partial: leave out what can't be made, instead of refusing
    :param link: link files that stay as they are, instead of copying them
    :param home: where the folder will be used, for files that hold paths; None: where it is written
    :param tell: hears (frames written, all frames)
    :raises AbsentError: a needed file can't be made; nothing was written
    :raises DataError: the folder is there, or a file of the subject is broken
    """
    empty(folder)
    missing = lacks(subject, layout)
    if not partial:
        refuse(missing, f"{layout.title}'s folder of {subject.name}")
    gone = {lack.files for lack in missing}
    parts = [part for part in layout.parts if part.files not in gone]
    with paths.atomic_folder(folder) as root:
        out = Out(root, home or folder.resolve(), subject.name, link)
        for part in parts:
            if part.whole:
                part.whole(subject, out)
        writers = [part.frame for part in parts if part.frame]
        _frames(subject, out, writers, tell)
        _sign(subject, layout, out, missing)
    return Exported(folder, tuple(part.files for part in parts), tuple(missing))


def _frames(
    subject: Subject, out: Out, writers: list[Callable[[Frame, Out], None]], tell: Callable[[int, int], None]
) -> None:
    _ = subject.background  # read once, before threads ask for it at the same time

    def write(frame_id: int) -> None:
        frame = subject.frame(frame_id)
        for writer in writers:
            writer(frame, out)

    ids, step = subject.ids, 64
    for first in range(0, len(ids), step):
        threads.each(write, ids[first : first + step])
        tell(min(first + step, len(ids)), len(ids))


def _sign(subject: Subject, layout: Layout, out: Out, missing: list[Lack]) -> None:
    about = {
        "made_by": f"talkbench {__version__}: bench data export",
        "format": layout.name,
        "subject": subject.name,
        "missing": {lack.files: lack.why for lack in missing},
    }
    out.path("exported.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
