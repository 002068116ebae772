"""Deterministic archives of subject folders: the same files give the same bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from bench import paths

_STAMP = (1980, 1, 1, 0, 0, 0)
_STORED = {".jpg", ".png", ".npz"}  # compressed already


def pack(folder: Path, zip_path: Path) -> None:
    """Write ``folder``'s files to ``zip_path``: sorted, at the archive's root, with fixed times and modes."""
    files = sorted((p.relative_to(folder).as_posix(), p) for p in folder.rglob("*") if p.is_file())
    with paths.atomic_file(zip_path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, path in files:
            entry = zipfile.ZipInfo(name, _STAMP)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED if path.suffix in _STORED else zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes(), compresslevel=9)
