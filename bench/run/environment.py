"""Where a plugin's code is from, when it is installed from a checkout: what a version number can't say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PATIENCE = 20.0
"""Seconds that git may take."""
_INSTALLED = {"site-packages", "dist-packages"}


def plugin_source(module_file: Path) -> dict[str, str]:
    """The git state of the checkout that a module lies in: ``{"code git": "<commit>"}``, with `` + changes`` if files differ from it.

    Empty for an installed package (whatever checkout its environment lies in), outside a checkout, and without git.
    """
    folder = module_file.resolve().parent
    if _INSTALLED & set(folder.parts):
        return {}
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changed = None if commit is None else _git(folder, "status", "--porcelain", "--ignore-submodules=none")
    if commit is None or changed is None:
        return {}
    return {"code git": commit + (" + changes" if changed else "")}


def _git(folder: Path, *words: str) -> str | None:
    """What git prints; None if it fails or isn't here."""
    # Nothing of the checkout's own configuration is run, and its index stays as it is.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
