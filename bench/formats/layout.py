"""What a layout of the field is: the files its official code reads, how each is made from a subject, how each is recognised."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.subject import Frame, Subject

Colour: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class Lack:
    """A file that isn't there or can't be made."""

    files: str
    why: str
    """What is wrong, and what makes the file."""
    needed: bool
    """The reader stops without it."""


def place(source: Path, target: Path, link: bool = False) -> None:
    """Copy a file, or link it hard where ``link`` is set and the file system lets us."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)


@dataclass(frozen=True)
class Out:
    """The folder that an export writes."""

    root: Path
    """Where files are written now."""
    home: Path
    """Where the folder will be in the end; for files that hold paths."""
    name: str
    link: bool = False

    def take(self, source: Path, name: str) -> None:
        """A file of the subject, unchanged."""
        place(source, self.root / name, self.link)

    def path(self, name: str) -> Path:
        """Where a new file goes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def always(subject: Subject) -> str | None:
    """The part can be made from every subject."""
    del subject
    return None


@dataclass(frozen=True)
class Part:
    """A file, or a file a frame, of a layout."""

    files: str
    """As in the layout's own documents: ``gt_imgs/<id>.jpg``."""
    frame: Callable[[Frame, Out], None] | None = None
    whole: Callable[[Subject, Out], None] | None = None
    lack: Callable[[Subject], str | None] = always
    """Why it can't be made from this subject and what to do; None: it can."""
    needed: bool = True
    """The official training or test stops without it."""


@dataclass(frozen=True)
class Layout:
    """A method's data folder."""

    name: str
    title: str
    source: str
    """Where the layout is written down."""
    parts: tuple[Part, ...]
    marks: tuple[str, ...]
    """Globs that all match something in a folder of this layout, and in none of the layouts tried before it."""
    colours: Mapping[int, Colour]
    """Class → RGB colour in ``parsing/<id>.png``."""
    makers: Mapping[str, str]
    """Kind of file → the command of the official repository that makes it."""
    pictures: tuple[str, ...] = ("ori_imgs", "gt_imgs")
    """Where frames may be, best first; others than ``ori_imgs`` show the static plate behind the person."""
    tracked: tuple[str, float] = ("track_params.pt", 10.0)
    """The tracker's file, and by what its translations are divided."""
