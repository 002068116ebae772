"""The git state of a plugin that is installed from a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.run.environment import plugin_source


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module in a checkout with one commit."""
    path = tmp_path / "repo/src/plugin.py"
    path.parent.mkdir(parents=True)
    path.write_text("x = 1\n")
    _git(tmp_path / "repo", "init", "-q")
    _commit(tmp_path / "repo")
    return path


def _git(repo: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", repo, *who, *words], check=True, capture_output=True, text=True).stdout.strip()


def _commit(repo: Path) -> None:
    _git(repo, "add", "-A")
    _git(repo, "commit", "-q", "-m", "x")


def test_a_clean_checkout_is_its_commit(module: Path, tmp_path: Path):
    head = _git(tmp_path / "repo", "rev-parse", "HEAD")
    assert plugin_source(module) == {"code git": head}
    linked = tmp_path / "link.py"
    linked.symlink_to(module)
    assert plugin_source(linked) == {"code git": head}


@pytest.mark.parametrize("file", ["src/plugin.py", "src/new.py"])
def test_a_changed_or_new_file_is_said(module: Path, tmp_path: Path, file: str):
    head = _git(tmp_path / "repo", "rev-parse", "HEAD")
    (tmp_path / "repo" / file).write_text("x = 2\n")
    assert plugin_source(module) == {"code git": f"{head} + changes"}


def test_an_environment_inside_a_checkout_is_not_of_it(module: Path, tmp_path: Path):
    installed = tmp_path / "repo/.venv/lib/python3/site-packages/plugin.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("x = 1\n")
    assert plugin_source(installed) == {}


def test_outside_a_checkout_and_without_git_there_is_nothing(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "alone.py").write_text("x = 1\n")
    assert plugin_source(tmp_path / "alone.py") == {}
    assert plugin_source(tmp_path / "nowhere/gone.py") == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert plugin_source(module) == {}


def test_what_the_checkout_configures_is_not_run(module: Path, tmp_path: Path):
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    _git(tmp_path / "repo", "config", "core.fsmonitor", str(hook))
    assert plugin_source(module)
    assert not (tmp_path / "ran").exists()
