"""An audit on disk: ``audit.json`` with the numbers, ``share.mkv`` with the maps, in one folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from bench import video
from bench.audit.measure import Audit, Summary
from bench.errors import DataError, RecordError
from bench.paths import atomic_folder

_NUMBERS, _MAPS = "audit.json", "share.mkv"
_FPS = 25
"""Of no meaning: a video needs some rate."""


def save(folder: Path, audit: Audit) -> None:
    """Write the audit, in place of an older one; nothing of it is there unless it is whole."""
    numbers = {field.name: getattr(audit, field.name) for field in fields(Summary)}
    with atomic_folder(folder) as temporary:
        grey = (np.repeat(share[..., None], 3, axis=2) for share in audit.maps)
        video.write_lossless(temporary / _MAPS, grey, _FPS)
        (temporary / _NUMBERS).write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def exists(folder: Path) -> bool:
    """Whether an audit has been saved there."""
    return (folder / _NUMBERS).is_file()


def read(folder: Path) -> Summary:
    """The numbers alone.

    :raises bench.errors.RecordError: they are missing or broken
    """
    path = folder / _NUMBERS
    try:
        found = TypeAdapter(Summary).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = "; ".join(str(error).splitlines()[:2])
        raise RecordError(f"{path} is not a readable audit ({reason}): run the cell again") from error
    if not found.ids or len(found.ids) != len(found.per_frame):
        raise RecordError(f"{path} has {len(found.per_frame)} shares for {len(found.ids)} frames: run the cell again")
    return found


def load(folder: Path) -> Audit:
    """The audit with its maps.

    :raises bench.errors.RecordError: a file is missing or broken
    """
    numbers, path = read(folder), folder / _MAPS
    try:
        maps = [frame[..., 0] for frame in video.read_video(path)]
    except DataError as error:
        raise RecordError(f"{error}: run the cell again") from error
    if len(maps) != len(numbers.ids):
        raise RecordError(f"{path} has {len(maps)} maps for {len(numbers.ids)} frames: run the cell again")
    return Audit(**vars(numbers), maps=np.stack(maps))


def synthesised(folder: Path) -> Callable[[int], NDArray[np.float32]]:
    """Weights [H,W] of the region *synthesised*, by frame id: 1 − copied share.

    All 0 for a frame that isn't in the sample, so that it has no value in this region.

    :raises bench.errors.RecordError: a file is missing or broken
    """
    audit = load(folder)
    places = {number: place for place, number in enumerate(audit.ids)}
    nothing = np.zeros(audit.maps.shape[1:], np.float32)

    def weights(number: int) -> NDArray[np.float32]:
        if number not in places:
            return nothing
        return 1 - audit.maps[places[number]].astype(np.float32) / 255

    return weights
