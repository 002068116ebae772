"""What was found about single frames, kept on disk: many predictions are compared with the same ground truth.

Entries live in ``bench.paths.home()/cache/<name>``, one file each, named by a hash of the frame's pixels and of whatever else the
result depends on: a wrong hit can't happen, and deleting the folder costs time only. ``BENCH_CACHE=off`` switches it off.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import paths, system
from bench.errors import BenchWarning, UsageError

LIMITS = {"lpips": 2 << 30, "landmarks": 64 << 20}
"""Bytes on disk by store: about 750 frames of 512×512, and 16 000 faces."""
_BLOCK = 4096
"""What the smallest file takes on disk."""
_CLOCK = 0.1
"""Seconds by which a file system's clock may be late."""
_ABANDONED = 3600.0
"""Seconds after which a half-written file is nobody's any more."""


def store(name: str) -> Store | None:
    """The store called ``name`` of :data:`LIMITS`, newly opened; None under ``BENCH_CACHE=off``."""
    wish = os.environ.get("BENCH_CACHE", "on")
    if wish not in ("on", "off"):
        raise UsageError(f"BENCH_CACHE={wish}: expected on or off")
    return None if wish == "off" else Store(paths.home() / "cache" / name, LIMITS[name])


def key(frame: NDArray[np.uint8], *context: str) -> str:
    """Hash of a frame's pixels and size, of ``context``, and of the CPU, whose kind decides how floats are rounded."""
    digest = hashlib.sha256("\0".join((*context, system.hardware()["cpu"], str(frame.shape))).encode())
    digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


class Store:
    """Byte strings by key, in no more than ``limit`` bytes. Threads and processes may share it.

    A full store drops what was used longest ago, but nothing used since it was opened: a sequence that is larger than the store
    would otherwise push out each frame before it is asked for again.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Nothing is read or made until the first :meth:`get` or :meth:`put`."""
        self.folder, self.limit = folder, limit
        self._opened = time.time() - _CLOCK
        self._lock = threading.Lock()
        self._total = 0
        self._unseen = (
            limit  # bytes added since the folder was last looked at: more than allowed, so that it is looked at
        )
        self._slack = limit // 64

    def get(self, name: str) -> bytes | None:
        """What was put under ``name``; None if there is nothing, or nothing whole: that is deleted."""
        path = self.folder / name
        try:
            stored = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain(error)
            return None
        with suppress(OSError):  # another process dropped it just now, or the folder is read-only
            os.utime(path)
        if len(stored) < 4 or stored[:4] != _checksum(name, memoryview(stored)[4:]):
            path.unlink(missing_ok=True)
            warnings.warn(f"{path} was damaged, so it is computed again", BenchWarning, stacklevel=2)
            return None
        return stored[4:]

    def put(self, name: str, data: bytes) -> None:
        """Keep ``data`` under ``name``, if there is room for it. A folder that can't be written to is a warning, once."""
        try:
            if self._has_room(-(-(len(data) + 4) // _BLOCK) * _BLOCK):
                self._write(name, data)
        except OSError as error:
            self._complain(error)

    def _write(self, name: str, data: bytes) -> None:
        # Unlike paths.atomic_file's, these files aren't synced to the disk: the checksum tells what a power cut left of them.
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_checksum(name, data))
                file.write(data)
            os.replace(temporary, self.folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _has_room(self, size: int) -> bool:
        with self._lock:
            if self._unseen + size > self._slack:  # other processes add, too
                self._total, self._unseen = self._swept(max(size, self._slack)), 0
            if self._total + size > self.limit:
                return False
            self._total += size
            self._unseen += size
            return True

    def _swept(self, room: int) -> int:
        """Bytes in the folder, after the oldest entries have made ``room``."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for used, size, path in entries:
            if total + room <= self.limit or used >= self._opened:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total

    def _entries(self) -> list[tuple[float, int, Path]]:
        """(last use, bytes on disk, path) of every entry; abandoned half-written files are deleted."""
        found = []
        for entry in os.scandir(self.folder) if self.folder.is_dir() else ():
            try:
                state = entry.stat()
            except FileNotFoundError:
                continue  # another process dropped it
            if not entry.name.startswith("."):
                found.append((state.st_mtime, -(-state.st_size // _BLOCK) * _BLOCK, Path(entry.path)))
            elif state.st_mtime < time.time() - _ABANDONED:
                Path(entry.path).unlink(missing_ok=True)
        return found

    def _complain(self, error: OSError) -> None:
        warnings.warn(
            f"{self.folder}: can't be used ({error.strerror}), so that scoring takes longer; "
            "make it writable, set BENCH_HOME to another folder, or BENCH_CACHE=off",
            BenchWarning,
            stacklevel=3,
        )


def _checksum(name: str, data: bytes | memoryview) -> bytes:
    return zlib.crc32(data, zlib.crc32(name.encode())).to_bytes(4, "little")
