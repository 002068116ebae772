"""Cards of subjects that can't be shipped: what is known of each, where it comes from, and how to get it.

One TOML a subject in ``datasets/cards``. What is not known is written as ``unknown``; ``facts_from`` says whose word each
fact is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from bench import download, paths
from bench.errors import AbsentError, DataError, RecordError
from bench.hashes import hash_file

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Card:
    """One subject."""

    name: str
    title: str
    source: str
    file: str
    """What the video is called when it is here."""
    licence: str
    language: str
    sex: str
    hair: str
    size: tuple[int, int]
    """(width, height) of the prepared frames."""
    fps: int
    frames: int | str
    """How many there are, or words that begin with ``unknown``."""
    split: str
    sha256: str
    """Of the video; ``unknown`` where nobody's word for it was found."""
    prepare: tuple[str, ...]
    """Options of ``bench data prepare``."""
    steps: tuple[str, ...]
    """How to get the video and prepare it, in order."""
    facts_from: Mapping[str, str]
    url: str | None = None
    """Direct address, where a script can fetch the video."""

    @property
    def video(self) -> Path:
        """Where ``bench data fetch`` puts the video."""
        return paths.home() / "videos" / self.file

    @property
    def get_it(self) -> str:
        """The command that gets it, or shows how to."""
        return f"bench data fetch {self.name}" + (" --prepare" if self.url else "")

    @property
    def prepare_it(self) -> str:
        """The command that makes the subject from the fetched video."""
        return " ".join(("bench data prepare", str(self.video), "--name", self.name, *self.prepare))


def load(path: Path) -> Card:
    """Read one card.

    Raises:
        DataError: not TOML, or a field is missing, unknown or of the wrong kind.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        data |= {key: tuple(data[key]) for key in ("size", "prepare", "steps")}
        if odd := set(data) - {field.name for field in fields(Card)}:
            raise ValueError(f"unknown field {min(odd)}")
        card = Card(**data)
        width, height = card.size
        if not all(isinstance(value, int) and value > 0 for value in (width, height, card.fps)):
            raise ValueError(f"size {card.size} or fps {card.fps}")
        if not isinstance(card.frames, int) and not card.frames.startswith(UNKNOWN):
            raise ValueError(f"frames {card.frames!r}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a subject card ({error}): install talkbench again") from error
    return card


def all_cards() -> dict[str, Card]:
    """Every card, by name."""
    found = (load(path) for path in sorted(paths.content("datasets", "cards").glob("*.toml")))
    return {card.name: card for card in found}


def fetch(card: Card, tell: download.Tell = lambda done, total: None) -> tuple[Path, str]:
    """Bring the card's video here and return (its path, its SHA-256); nothing is downloaded if it is here.

    Raises:
        AbsentError: no script can fetch it (the message has the steps), or it can't be reached.
        RecordError: what came, or what lies there, is not the file that the card names.
    """
    if card.url is None and not card.video.exists():
        steps = " ".join(f"({number}) {step}" for number, step in enumerate(card.steps, 1))
        raise AbsentError(f"no script can fetch {card.name}: {steps}")
    wanted = None if card.sha256 == UNKNOWN else card.sha256
    if card.video.exists():
        found = hash_file(card.video)
        if wanted not in (None, found):
            raise RecordError(f"{card.video} is not {card.name}'s video: sha256 {found}, expected {wanted}; remove it")
        return card.video, found
    if card.url is None:  # said above already; for the type checker
        raise AbsentError(f"no address of {card.name} is known")
    download.download(card.url, card.video, wanted, tell)
    return card.video, hash_file(card.video)
