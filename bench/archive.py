"""A run in one file, for whoever wants to check it elsewhere: ``bench export`` packs, ``bench import`` unpacks and proves.

The archive is a zip with the run folder's files and a manifest of their hashes, :data:`MANIFEST`. Not packed: the report, which
`bench report` writes again, and subjects; `bench verify` recomputes scores where the subject is at hand.

Unpacking trusts nothing: names that lead out of the folder, links, files that the manifest doesn't know, and sizes beyond those it
states are refused before anything is written; a wrong hash leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench import __version__, locks, paths, records
from bench.errors import DataError, RecordError, UsageError
from bench.run import index
from bench.run.layout import RunFolder

MANIFEST = "talkbench.json"
_LARGEST_MANIFEST = 256 << 20
_ANEW = {"report", index.NAME}
"""What is made anew where it is wanted."""
_BLOCK = 1 << 20
_PACKED = frozenset({".mkv", ".mp4", ".jpg", ".png", ".parquet", ".safetensors", ".gz", ".webm"})
"""Endings of files that don't get smaller."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The same run gives the same archive."""
Tell = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    """What an archive holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    talkbench: str
    """The version that packed it."""
    run: str
    """Name of the run folder."""
    files: dict[str, _File]
    """By path in the run folder."""


@dataclass(frozen=True)
class Packed:
    """A packed or unpacked run."""

    place: Path
    files: int
    bytes: int
    """Of the files, unpacked."""


def pack(run: Path, archive: Path, tell: Tell = lambda done, total: None) -> Packed:
    """Write the run folder ``run`` into the new file ``archive``; a killed export leaves nothing.

    :raises RecordError: no run folder
    :raises UsageError: the run is at work, or ``archive`` is there already
    :raises DataError: the run folder holds a link, whose target may be anything
    """
    records.load_plan(run)
    if locks.is_held(RunFolder(run).lock):
        raise UsageError(f"{run} is at work: wait until it is over, or stop it")
    if archive.exists():
        raise UsageError(f"{archive} is there already: name another file, or remove it")
    files = _files(run)
    total, done = sum(path.stat().st_size for path in files.values()), 0
    known: dict[str, _File] = {}
    with paths.atomic_file(archive) as temporary, zipfile.ZipFile(temporary, "w") as bundle:
        for name, path in files.items():
            with path.open("rb") as source, bundle.open(_info(name), "w", force_zip64=True) as target:
                known[name] = _copied(source, target)
            done += known[name].size
            tell(done, total)
        manifest = Manifest(talkbench=__version__, run=run.resolve().name, files=known)
        bundle.writestr(_info(MANIFEST), manifest.model_dump_json(indent=1))
    return Packed(archive, len(known), done)


def unpack(archive: Path, run: Path | None = None, tell: Tell = lambda done, total: None) -> Packed:
    """Unpack ``archive`` into the new folder ``run``, by default its run's name beside it; nothing is left of a bad one.

    :raises UsageError: ``run`` is there already, or the disk is too small
    :raises RecordError: the archive is broken, holds what its manifest doesn't know, or isn't of a run
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            manifest = _manifest(archive, bundle)
            target = run or archive.parent / paths.file_name(manifest.run)
            _check(archive, bundle, manifest)
            return _unpacked(archive, bundle, manifest, target, tell)
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise RecordError(f"{archive} can't be unpacked ({error}): get it again") from error


def _files(run: Path) -> dict[str, Path]:
    """All files but hidden ones and the report, by path in the run folder, in order."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run)
        if name.parts[0] in _ANEW or any(part.startswith(".") for part in name.parts):
            continue
        if path.is_symlink():
            raise DataError(f"{path} is a link: put the file itself there")
        if path.is_file():
            found[name.as_posix()] = path
    return found


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    stored = PurePosixPath(name).suffix in _PACKED
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _copied(source: IO[bytes], target: IO[bytes], most: int | None = None) -> _File:
    """Copy to the end, or until there are more than ``most`` bytes; what was read."""
    digest, size = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        size += len(block)
        if most is not None and size > most:
            break
        digest.update(block)
        target.write(block)
    return _File(sha256=digest.hexdigest(), size=size)


def _manifest(archive: Path, bundle: zipfile.ZipFile) -> Manifest:
    try:
        info = bundle.getinfo(MANIFEST)
        if info.file_size > _LARGEST_MANIFEST:
            raise RecordError(f"{archive}: {MANIFEST} has {info.file_size} bytes: don't trust it")
        return Manifest.model_validate_json(bundle.read(info))
    except KeyError:
        raise RecordError(f"{archive} has no {MANIFEST}: it was not made by `bench export`") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]["msg"]
        raise RecordError(f"{archive}: {MANIFEST} is not readable ({first}): get it again") from error


def _check(archive: Path, bundle: zipfile.ZipFile, manifest: Manifest) -> None:
    """Everything that can be said without unpacking."""
    held = [info for info in bundle.infolist() if info.filename != MANIFEST]
    names = [info.filename for info in held]
    if len(names) != len(set(names)):
        raise RecordError(f"{archive} holds a name twice: don't trust it")
    if unknown := set(names) ^ manifest.files.keys():
        raise RecordError(f"{archive}: {min(unknown)!r} is not both in it and in its manifest: get it again")
    for info in held:
        path, mode = PurePosixPath(info.filename), info.external_attr >> 16
        out = path.is_absolute() or any(part.startswith(".") for part in path.parts) or "\\" in info.filename
        if out or path.as_posix() != info.filename or not info.filename.isprintable():
            raise RecordError(f"{archive} holds {info.filename!r}, which could lead out of its folder: don't trust it")
        if info.is_dir() or (stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
            raise RecordError(f"{archive}: {info.filename!r} is no plain file: don't trust it")
        if info.file_size != manifest.files[info.filename].size:
            raise RecordError(f"{archive}: {info.filename!r} has another size than its manifest says: get it again")


def _unpacked(archive: Path, bundle: zipfile.ZipFile, manifest: Manifest, target: Path, tell: Tell) -> Packed:
    if target.exists():
        raise UsageError(f"{target} is there already: give another --out, or remove it")
    total, done = sum(file.size for file in manifest.files.values()), 0
    free = shutil.disk_usage(next(p for p in target.absolute().parents if p.exists())).free
    if total > free:
        raise UsageError(
            f"{archive} needs {total / 2**30:.1f} GiB, {target} has {free / 2**30:.1f}: give another --out"
        )
    with paths.atomic_folder(target) as temporary:
        for name, expected in manifest.files.items():
            place = temporary / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with bundle.open(name) as source, place.open("xb") as file:
                found = _copied(source, file, expected.size)
            if found != expected:
                raise RecordError(f"{archive}: {name!r} is not what its manifest says: get it again")
            done += found.size
            tell(done, total)
        records.load_plan(temporary)
    return Packed(target, len(manifest.files), done)
