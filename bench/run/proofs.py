"""What a cell's finished stages leave beside their files, so that what still holds is never done again.

A proof names what the files were made from (its recipe) and their hash. Training's is ``checkpoint/done.json``
(:class:`bench.checkpoints.Trained`); rendering's and the audit's are here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from bench.hashes import hash_file, hash_folder
from bench.paths import write_text
from bench.records import Fps


class Proof(BaseModel):
    """What the files of one stage were made from, and what they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: dict[str, str]
    """Checkpoint, code, device, …: whatever makes other files when it changes."""
    sha256: str
    """Of the stage's file or folder."""

    def save(self, path: Path) -> None:
        """Write it, atomically."""
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def kept(cls, path: Path, files: Path, recipe: Mapping[str, str]) -> Self | None:
        """The proof at ``path`` if ``files`` still are what it says, made by this recipe. Prints what was found changed."""
        try:
            found = cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            print(f"{path} can't be read ({str(error).splitlines()[0]}), so {files.name} is made again")
            return None
        if changed := sorted(key for key in found.recipe.keys() | recipe if found.recipe.get(key) != recipe.get(key)):
            print(f"{files.name} was made with other {', '.join(changed)}, so it is made again")
            return None
        if not files.exists() or hash_of(files) != found.sha256:
            print(f"{files} was changed or removed, so it is made again")
            return None
        return found


class Rendered(Proof):
    """The rendered test frames."""

    root: str
    """The hash over all frames (:func:`bench.hashes.root_hash`)."""
    frames: list[str]
    """Of each frame, in order."""
    fps: Fps
    peak_memory_bytes: int


def hash_of(files: Path) -> str:
    """Of a file or a folder."""
    return hash_folder(files) if files.is_dir() else hash_file(files)
