"""Hashes that know order and names: one swapped, renamed or changed file or frame gives another hash."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
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


def content_hash(frame: NDArray[np.uint8]) -> str:
    """SHA-256 over (width, height, raw RGB bytes) of a frame, uint8 [H,W,3], whatever its id."""
    height, width = frame.shape[:2]
    digest = hashlib.sha256(f"{width}\0{height}\0".encode())
    digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def named_hash(frame_id: int, content: str) -> str:
    """SHA-256 over (id, content hash): the frame's hash, from what is known without its pixels."""
    return hashlib.sha256(f"{frame_id}\0{content}".encode()).hexdigest()


def frame_hash(frame_id: int, frame: NDArray[np.uint8]) -> str:
    """Hash of one frame, uint8 [H,W,3], under its id.

    >>> black = np.zeros((2, 2, 3), np.uint8)
    >>> frame_hash(1, black) == frame_hash(2, black)
    False
    """
    return named_hash(frame_id, content_hash(frame))


def root_hash(frames: Iterable[str]) -> str:
    """The hash over a whole sequence, from the hashes of its frames in order (:func:`frame_hash`).

    A Merkle tree of one level: who keeps the frames' hashes can say which frame was changed, and prove the list of
    them by the one hash over all.
    """
    return hashlib.sha256("\n".join(("frames", *frames)).encode()).hexdigest()


class FramesHash:
    """Takes in a sequence frame by frame."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        """Hash of each frame so far."""

    def add(self, frame_id: int, frame: NDArray[np.uint8]) -> None:
        """The next frame, uint8 [H,W,3]."""
        self.frames.append(frame_hash(frame_id, frame))

    def hexdigest(self) -> str:
        """The hash of what was added so far (:func:`root_hash`)."""
        return root_hash(self.frames)
