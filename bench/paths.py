"""Where things live: shipped content, the user's cache, and writes that can't be seen half done."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def content(*parts: str) -> Path:
    """Path of shipped content (``datasets/…`` or ``reports/…``), in a wheel or in a source checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_content"
    root = installed if installed.is_dir() else package.parent
    return root.joinpath(*parts)


def file_name(text: str) -> str:
    """A file's name for any text: itself where it is harmless, else made so, with a piece of its hash to keep it one of a kind.

    >>> file_name("degstalk[-E]--ada.mp4"), file_name("../a b.mp4")
    ('degstalk[-E]--ada.mp4', '_a_b-486db3c0.mp4')
    """
    safe = re.sub(r"[^\w.\[\]@+-]", "_", text, flags=re.ASCII).lstrip(".")
    if safe == text and 0 < len(safe) <= 200:
        return text
    stem, dot, suffix = safe.rpartition(".")
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{(stem or suffix)[:150]}-{digest}" + (f".{suffix[:10]}" if stem and dot else "")


def home() -> Path:
    """The user's cache folder: ``$BENCH_HOME``, else ``$XDG_CACHE_HOME/talkbench``, else ``~/.cache/talkbench``."""
    if custom := os.environ.get("BENCH_HOME"):
        return Path(custom).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "talkbench"


@contextmanager
def atomic_file(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes ``path``'s place only if the block ends well.

    ``flush``: even a power cut leaves the old file or the new one. Without it that takes a later ``os.sync``: for one of
    thousands of files, each of which would wait for the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if flush:
            with temporary.open("rb+") as f:
                os.fsync(f.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it becomes ``path`` (replacing an older one) only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
