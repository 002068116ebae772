"""Hashes that know order and names: one swapped, renamed or changed file or frame gives another hash."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 20


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(root: Path, without: Collection[str] = ()) -> str:
    """SHA-256 over (relative path, length, bytes) of every file below ``root`` in the order of their paths.

    Hidden files (a leading dot: half-written or the system's own) and the relative paths ``without`` don't count.
    """
    digest = hashlib.sha256()
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    for name, path in sorted(files.items()):
        if name in without or any(part.startswith(".") for part in name.split("/")):
            continue
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


class FramesHash:
    """SHA-256 over (id, width, height, raw RGB bytes) of frames, in the order they come."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, frame_id: int, frame: NDArray[np.uint8]) -> None:
        """Take in the next frame, uint8 [H,W,3]."""
        height, width = frame.shape[:2]
        self._digest.update(f"{frame_id}\0{width}\0{height}\0".encode())
        self._digest.update(np.ascontiguousarray(frame).tobytes())

    def hexdigest(self) -> str:
        """The hash of what was added so far."""
        return self._digest.hexdigest()
