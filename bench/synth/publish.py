"""Makes the shipped subjects: ``python -m bench.synth.publish [name …]`` writes archives and cards to ``datasets/embedded``."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from bench import paths

from . import make, pack

SHIPPED = {"ada": (256, 16.0), "ben": (256, 16.0), "tiny": (96, 2.0)}
"""Name → (pixels a side, seconds) of the subjects in ``datasets/embedded``."""


def publish(name: str, folder: Path) -> None:
    """Make the shipped subject ``name`` and write ``<name>.zip`` and ``<name>.toml`` into ``folder``."""
    size, seconds = SHIPPED[name]
    with tempfile.TemporaryDirectory() as scratch:
        subject = Path(scratch) / name
        make(name, subject, size=size, seconds=seconds)
        archive = folder / f"{name}.zip"
        pack(subject, archive)
        meta = json.loads((subject / "subject.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    command = f"bench data synth {name} --size {size} --seconds {seconds:g}"
    rows = {
        "name": name,
        "title": meta["title"],
        "description": (
            f"A synthetic {'woman' if meta['sex'] == 'female' else 'man'} with {meta['hair']} hair speaking English; "
            "pose, landmarks, masks and face coefficients are exact."
        ),
        **{key: meta[key] for key in ("licence", "source", "language", "sex", "hair", "size", "fps", "frames")},
        "archive": archive.name,
        "sha256": digest,
        "command": command,
    }
    # JSON's strings, numbers and flat lists are TOML's as well.
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in rows.items())
    paths.write_text(folder / f"{name}.toml", text)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or SHIPPED:
        publish(chosen, paths.content("datasets", "embedded"))
