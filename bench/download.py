"""One file from the web: resumed where it was cut off, whole or not there, refused loudly if its hash is wrong."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from bench import locks
from bench.errors import AbsentError, RecordError

CONNECT_SECONDS = 20
_CHUNK = 1 << 20

Tell = Callable[[int, int | None], None]
"""Hears (bytes here, bytes in all or None) after each piece."""


def download(url: str, target: Path, sha256: str | None, tell: Tell = lambda done, total: None) -> None:
    """Bring ``url`` to ``target``; what is there already is replaced only by a whole file with the right hash.

    With a known hash an interrupted download goes on where it stopped (``.<name>.part`` beside the target); without one
    it starts anew, since two halves of different files couldn't be told from one whole.

    Raises:
        AbsentError: not reachable, cut off, or another process is at it.
        RecordError: the file's hash is not ``sha256``; nothing is kept.
    """
    part = target.with_name(f".{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locks.hold(part.with_suffix(".lock"), patience=0):
            if sha256 is None:
                part.unlink(missing_ok=True)
            _pull(url, part, tell)
            found = _hash(part)
            if sha256 is not None and found != sha256:
                part.unlink()
                raise RecordError(
                    f"{url} is not the expected file: sha256 {found}, expected {sha256}; nothing was kept"
                )
            os.chmod(part, 0o644)
            os.replace(part, target)
    except locks.Busy:
        raise AbsentError(f"{target.name} is being downloaded by another process; wait for it") from None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _request(url: str, start: int) -> HTTPResponse:
    if not url.startswith(("http://", "https://")):
        raise AbsentError(f"{url}: only http and https are fetched")
    headers = {"User-Agent": "talkbench"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=CONNECT_SECONDS)


def _pull(url: str, part: Path, tell: Tell) -> None:
    """Append to ``part`` what is missing of it."""
    start = part.stat().st_size if part.exists() else 0
    try:
        with _request(url, start) as response:
            if response.status != 206:  # the server sends all of it
                start = 0
            length = response.headers.get("Content-Length")
            total = start + int(length) if length and length.isdigit() else None
            done = start
            with part.open("r+b" if start else "wb") as file:
                file.seek(start)
                while piece := response.read(_CHUNK):
                    file.write(piece)
                    done += len(piece)
                    tell(done, total)
                file.flush()
                os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing beyond what is here: the whole file, or the rest of another one; the hash tells
            return
        raise AbsentError(f"{url} can't be fetched (HTTP {error.code} {error.reason})") from error
    except (OSError, HTTPException) as error:
        raise AbsentError(
            f"{url} can't be fetched ({getattr(error, 'reason', None) or error}); run it again"
        ) from error
    if total is not None and done < total:
        raise AbsentError(f"{url}: cut off at {done} of {total} bytes; run it again to go on")
