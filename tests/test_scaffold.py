"""``bench methods new``: what it writes is whole, short, and never over something."""

from __future__ import annotations

import ast
import os
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import scaffold
from bench.cli import main
from bench.containers.spec import read
from bench.errors import UsageError


def test_a_plugin_is_named_throughout(tmp_path: Path) -> None:
    files = scaffold.create("my-method", tmp_path / "mine", container=False)
    assert [path.name for path in files] == ["my_method.py", "pyproject.toml"]
    project = tomllib.loads((tmp_path / "mine/pyproject.toml").read_text())
    assert project["project"]["entry-points"]["bench.methods"] == {"my-method": "my_method:Plugin"}
    text = (tmp_path / "mine/my_method.py").read_text()
    assert "$" not in text
    plugin = next(node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == "Plugin")
    info = plugin.body[0]
    assert info.end_lineno is not None
    assert info.end_lineno - info.lineno < 25


def test_a_program_is_one_short_toml(tmp_path: Path) -> None:
    scaffold.create("my-program", tmp_path / "mine", container=True)
    path = tmp_path / "mine/method.toml"
    assert len(path.read_text().splitlines()) <= 30
    spec = read(path)
    assert spec.name == "my-program"
    for script in ("train", "render"):
        assert os.access(tmp_path / "mine" / script, os.X_OK)
        assert "$$" not in (tmp_path / "mine" / script).read_text()


@pytest.mark.parametrize("name", ["My", "a b", "../x", "-a", "a--b", "", "3d-gs", "degstalk", "json", "torch"])
def test_a_name_that_can_not_be_or_is_taken(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        scaffold.create(name, tmp_path / "mine", container=False)
    assert not (tmp_path / "mine").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="there already"):
        scaffold.create("mine", tmp_path / "mine", container=False)


def test_the_verbs_of_containers_refuse_plugins() -> None:
    for verb in ("build", "shell"):
        result = CliRunner().invoke(main, ["methods", verb, "degstalk"])
        assert result.exit_code == 2
        assert "degstalk@official" in result.stderr


def test_a_shell_is_confined_and_wants_a_terminal() -> None:
    result = CliRunner().invoke(main, ["methods", "shell", "er-nerf@official", "--dry-run"])
    assert result.exit_code == 0
    assert "--network=none" in result.stdout
    result = CliRunner().invoke(main, ["methods", "shell", "er-nerf@official"])
    assert result.exit_code == 2
    assert "needs a terminal" in result.stderr
