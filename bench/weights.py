"""Model files that talkbench doesn't ship: what they are, where they come from, whether the one on disk is the right one.

The list is ``weights.toml``. Files live in ``bench.paths.home()/weights`` unless a package looks for them elsewhere; a file
put there by hand counts. Only ``lpips-alex`` is fetched unasked (:func:`require`). :func:`fetch` downloads those that have a
direct address, and takes a copy that the user has of the others, which stand behind a registration or a licence to agree to.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench import download, paths
from bench.errors import AbsentError, DataError, RecordError, unknown

State = Literal["present", "unchecked", "absent", "broken"]
_TABLE = Path(__file__).with_name("weights.toml")


@dataclass(frozen=True)
class Weights:
    """One model file."""

    name: str
    file: str
    """File name in the cache."""
    origin: str
    """Where it comes from, in words."""
    sha256: str | None
    """None: not known, so a file can be placed but not vouched for."""
    licence: str
    needed_by: str
    url: str | None = None
    """Direct address, None where a script may not or can't fetch it."""
    sha256_from: str = ""
    """Whose word the hash is."""
    size: int | None = None
    """Bytes, None where not known."""
    in_torch_hub: bool = False
    """True if the package that uses the file looks for it in torch hub's cache."""
    fetcher: Callable[[Path], None] | None = field(default=None, repr=False)
    """Writes the file to the path it is given; raises AbsentError with the reasons if it can't."""

    @property
    def path(self) -> Path:
        """Where the file belongs, whether it is there or not."""
        if self.in_torch_hub:
            return torch_hub() / self.file
        return paths.home() / "weights" / self.file

    def state(self) -> State:
        """``absent``, ``present`` (hash right), ``broken`` (hash wrong) or ``unchecked`` (there, but no hash is known)."""
        if not self.path.is_file():
            return "absent"
        if self.sha256 is None:
            return "unchecked"
        return "present" if sha256_of(self.path) == self.sha256 else "broken"

    def remedy(self) -> str:
        """The command that brings the file here."""
        if self.fetcher or self.url:
            return f"bench weights fetch {self.name}"
        return f"get it from {self.origin}, then: {_from_file(self.name)}"


def torch_hub() -> Path:
    """Where torch hub keeps downloaded files (``$TORCH_HOME`` moves it), found without importing torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"


def sha256_of(path: Path) -> str:
    """A file's SHA-256 as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_alexnet(target: Path) -> None:
    from bench.metrics import alexnet

    alexnet.fetch(target)


_FETCHERS = {"lpips-alex": _fetch_alexnet}


def _entry(name: str, table: dict[str, Any]) -> Weights:
    known = table["sha256"] != "unknown"
    return Weights(name, **table | {"sha256": table["sha256"] if known else None}, fetcher=_FETCHERS.get(name))


def _read_table() -> dict[str, Weights]:
    tables = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {name: _entry(name, table) for name, table in tables.items()}


REGISTRY: dict[str, Weights] = _read_table()
"""Every model file talkbench knows, by name (``weights.toml``)."""


def get(name: str) -> Weights:
    """The entry called ``name``; UsageError with the nearest names if there is none."""
    if name not in REGISTRY:
        raise unknown("weights", name, REGISTRY)
    return REGISTRY[name]


def fetch(name: str, file: Path | None = None, tell: download.Tell = lambda done, total: None) -> Path:
    """Bring a model file to its place and return that place; nothing happens if the right one is there already.

    ``BENCH_OFFLINE=1`` forbids downloads.

    :param file: a copy that the user has, for files that can't be fetched automatically
    :param tell: hears of a download's progress
    :raises AbsentError: if it can't be had; the message says how to get it
    :raises RecordError: if what came, or ``file``, is not the file whose hash is known
    :raises DataError: if ``file`` doesn't exist
    """
    weights = get(name)
    if file is not None:
        return _place(weights, file)
    if weights.state() in ("present", "unchecked"):
        return weights.path
    if weights.fetcher is not None:
        weights.fetcher(weights.path)
    elif weights.url is None:
        raise AbsentError(f"{name} can't be fetched automatically: {weights.remedy()}")
    elif os.environ.get("BENCH_OFFLINE") == "1":
        raise AbsentError(f"BENCH_OFFLINE=1: get {name} from {weights.url}, then: {_from_file(name)}")
    else:
        _download(weights, weights.url, tell)
    return weights.path


def _from_file(name: str) -> str:
    return f"bench weights fetch {name} --from FILE"


def _download(weights: Weights, url: str, tell: download.Tell) -> None:
    try:
        download.download(url, weights.path, weights.sha256, tell)
    except AbsentError as error:
        raise AbsentError(f"{error}; or with a copy that you have: {_from_file(weights.name)}") from error


def _place(weights: Weights, file: Path) -> Path:
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    if weights.sha256 is not None and (found := sha256_of(file)) != weights.sha256:
        raise RecordError(f"{file}: is not {weights.name}: sha256 {found}, expected {weights.sha256}")
    with paths.atomic_file(weights.path) as temporary:
        shutil.copyfile(file, temporary)
    return weights.path


def require(name: str) -> Path:
    """The path of a model file that is there and whole, fetched first if it can be.

    ``BENCH_OFFLINE=1`` forbids fetching. Raises AbsentError with the remedy if the file can't be had.
    """
    weights = get(name)
    state = weights.state()
    if state in ("present", "unchecked"):
        return weights.path
    if weights.fetcher is None or os.environ.get("BENCH_OFFLINE") == "1":
        what = "is broken (wrong hash)" if state == "broken" else "is not here"
        raise AbsentError(f"the model file of {name} {what}: {weights.remedy()}")
    print(f"fetching {name}: {weights.origin}", file=sys.stderr)
    return fetch(name)
