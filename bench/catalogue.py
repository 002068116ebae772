"""The subjects there are, by name: embedded ones (unpacked once into the cache), prepared ones, cards, or any folder."""

from __future__ import annotations

import os
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from bench import cards, locks, paths
from bench.errors import AbsentError, DataError, UsageError, unknown
from bench.hashes import hash_file, hash_folder
from bench.subject import Subject

_UNPACK_PATIENCE = 120.0
"""Seconds to wait while another process unpacks the same archive."""


_SERIOUS = 100
"""Frames from which on an embedded subject is worth a score (4 s)."""


@dataclass(frozen=True)
class Entry:
    """One subject that can be asked for by name."""

    name: str
    title: str
    origin: Literal["embedded", "prepared", "card"]
    """``card``: known, but not here yet."""
    card: Mapping[str, object]
    """What the card says; empty for a prepared subject without one."""
    place: Path
    """The archive, the folder, or where the folder will be."""

    @property
    def for_tests(self) -> bool:
        """True for an embedded subject that is too short to say anything: a run leaves it out unless it is named."""
        return self.origin == "embedded" and int(str(self.card["frames"])) < _SERIOUS


def entries() -> dict[str, Entry]:
    """All named subjects; an embedded one hides a prepared one of the same name, which hides a card that is only that."""
    shelf, known = paths.home() / "subjects", cards.all_cards()
    found = {folder.name: _prepared(folder, known.get(folder.name)) for folder in sorted(shelf.glob("[!.]*/"))}
    for path in sorted(paths.content("datasets", "embedded").glob("*.toml")):
        entry = _embedded(path)
        found[entry.name] = entry
    for name, card in known.items():
        found.setdefault(name, Entry(name, card.title, "card", asdict(card), shelf / name))
    return found


def here() -> list[str]:
    """The subjects that can be opened now: what ``--subjects all`` means."""
    return [entry.name for entry in entries().values() if entry.origin != "card"]


def defaults() -> list[str]:
    """The embedded subjects a run takes when none is named."""
    return [e.name for e in entries().values() if e.origin == "embedded" and not e.for_tests]


def resolve(name_or_path: str) -> Subject:
    """Open the subject called ``name_or_path``, or the folder of that path.

    Raises:
        UsageError: neither; the message has the nearest names.
        AbsentError: there is only a card; the message has the command that gets the subject.
        DataError: its archive or folder is broken.
    """
    known = entries()
    if entry := known.get(name_or_path):
        if entry.origin == "card" and not Path(name_or_path).is_dir():
            raise AbsentError(f"{name_or_path} is not on this machine: {cards.all_cards()[name_or_path].get_it}")
        if entry.origin != "card":
            return Subject(_unpacked(entry) if entry.origin == "embedded" else entry.place)
    if Path(name_or_path).is_dir():
        return Subject(Path(name_or_path).resolve())
    if os.sep in name_or_path:
        raise UsageError(f"no subject folder {name_or_path}: `bench data list` shows what there is")
    raise unknown("subject", name_or_path, known)


def subject_hash(subject: Subject) -> str:
    """SHA-256 over the names and bytes of all files of a subject folder."""
    return hash_folder(subject.root)


def check_archive(entry: Entry) -> None:
    """Prove an embedded subject's archive against its card.

    Raises:
        DataError: the archive is missing or has another hash.
    """
    if not entry.place.exists():
        raise DataError(f"{entry.place} is missing: install talkbench again")
    if (actual := hash_file(entry.place)) != entry.card["sha256"]:
        raise DataError(
            f"{entry.place} has sha256 {actual[:12]}…, its card says {str(entry.card['sha256'])[:12]}…: install talkbench again"
        )


def _embedded(path: Path) -> Entry:
    try:
        card = tomllib.loads(path.read_text(encoding="utf-8"))
        archive = path.parent / str(card.get("archive", f"{path.stem}.zip"))
        return Entry(str(card["name"]), str(card["title"]), "embedded", card | {"sha256": str(card["sha256"])}, archive)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} is not a subject card ({error!r}): install talkbench again") from error


def _prepared(folder: Path, card: cards.Card | None) -> Entry:
    title = "prepared on this machine" + (f"; card: {card.title}" if card else "")
    return Entry(folder.name, title, "prepared", asdict(card) if card else {}, folder)


def _unpacked(entry: Entry) -> Path:
    """Folder of an embedded subject, unpacked first if need be. Its name has the archive's hash: a new archive is a new folder."""
    folder = paths.home() / "embedded" / f"{entry.name}-{str(entry.card['sha256'])[:8]}"
    if folder.is_dir():
        return folder
    try:
        with locks.hold(folder.parent / ".lock", _UNPACK_PATIENCE):
            if not folder.is_dir():
                check_archive(entry)
                with paths.atomic_folder(folder) as temporary:
                    _extract(entry.place, temporary)
    except locks.Busy:
        raise DataError(f"another process has been unpacking into {folder.parent} for two minutes: end it") from None
    return folder


def _extract(archive: Path, into: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as bundle:
            for name in bundle.namelist():
                if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                    raise DataError(
                        f"{archive} holds {name!r}, which would be written outside its folder: don't trust it"
                    )
            bundle.extractall(into)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive} is not a whole zip archive ({error}): install talkbench again") from error
