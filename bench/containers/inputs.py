"""What a program is given: folders, written anew for each step.

In the layout ``talkbench`` it is handed just what a plugin is. For training, the subject folder (docs/subject-folder.md)
without pictures, classes, landmarks and poses of the test frames. For rendering, what ``sees`` names of each test frame::

    ids.txt                 the frames, one a line, in order
    background.png          the subject's static plate
    conditioning.npz        ids [N]; viewmat [N,4,4] and K [N,3,3] (pose); audio [N,8,C,L]; expression, eyelid, shape; …
    torso_canvas/<id>.png   and so on: one picture a frame

The other layouts are the field's own, whole (:mod:`bench.formats`): the authors' code opens test frames itself, and what it
reads there nobody sees. Such a method has ``subject`` among what it sees.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import formats
from bench.contract import Conditioning
from bench.formats.export import export
from bench.formats.layout import place
from bench.seeable import PARTS
from bench.subject import Subject

IDS = "ids.txt"

_FRAME_FOLDERS = ("ori_imgs", "parsing", "teeth_mask", "hair_alpha")
_WHOLE = (
    "subject.json", "transforms_train.json", "bc.jpg", "au.csv", "coefficients.npz", "3dmm.pt", "bs.npy", "aud.wav", "aud_*.npy",
)  # fmt: skip
"""Files of a subject folder that training may read. Not ``truth.npz``, which knows what the test frames show."""


def write_training(subject: Subject, folder: Path) -> None:
    """Write what may be seen while training; ``subject``: its view for training (:meth:`bench.subject.Subject.for_training`)."""
    for source in _training_files(subject):
        place(source, folder / source.relative_to(subject.root), link=True)


def write_conditioning(given: Sequence[Conditioning], sees: frozenset[str], folder: Path, pictures: str) -> None:
    """Write what may be seen of the test frames. Only one frame's pictures are in memory at a time.

    Args:
        given: the frames, at least one.
        sees: as in :class:`bench.contract.MethodInfo`.
        pictures: suffix of the pictures' files, ``png`` or ``bmp``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [part for key in sorted(sees) for part in PARTS[key]]
    arrays: dict[str, list[NDArray[Any]]] = {}
    for item in given:
        for name in names:
            for part, value in _parts(name, item):
                if value.dtype == np.uint8:
                    _save(value, folder / part / f"{item.id}.{pictures}")
                else:
                    arrays.setdefault(part, []).append(value)
    stacked = {name: np.stack(rows) for name, rows in arrays.items()}
    np.savez(folder / "conditioning.npz", ids=np.array([item.id for item in given]), **stacked)
    _save(given[0].background, folder / f"background.{pictures}")
    write_ids([item.id for item in given], folder)


def write_whole(subject: Subject, layout: str, folder: Path, home: str) -> None:
    """Write the subject, test frames included, in one of the field's layouts.

    Args:
        home: where the program will find the folder, for files that hold paths.

    Raises:
        AbsentError: the subject lacks something that the layout needs; the message has the remedy.
    """
    export(subject, formats.get(layout), folder, link=True, home=Path(home))
    write_ids(subject.test_ids, folder)


def write_ids(ids: Sequence[int], folder: Path) -> None:
    """Write the test frames' ids, one a line."""
    (folder / IDS).write_text("".join(f"{number}\n" for number in ids), encoding="utf-8")


def unlinked(folder: Path) -> None:
    """Make each file a copy of its own, so that a program may write into it."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_nlink > 1:
            copy = path.with_name(f".{path.name}")
            shutil.copyfile(path, copy)
            copy.replace(path)


def _training_files(subject: Subject) -> Iterator[Path]:
    shown = {str(number) for number in subject.train_ids}
    for folder in _FRAME_FOLDERS:
        yield from (path for path in sorted((subject.root / folder).glob("*")) if path.stem in shown)
    for path in sorted(subject.root.iterdir()):
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in _WHOLE):
            yield path


def _parts(name: str, item: Conditioning) -> Iterator[tuple[str, NDArray[Any]]]:
    value = getattr(item, name)
    if name == "camera":
        yield from (("viewmat", value.viewmat), ("K", value.K))
    elif isinstance(value, np.ndarray):
        yield name, value


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
