"""docs/ci.md: its workflow is YAML, and every `bench` command in it is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from bench.cli import main
from bench.regression import TOLERANCES

DOC = (Path(__file__).parents[2] / "docs/ci.md").read_text(encoding="utf-8")


def _commands():
    yaml = pytest.importorskip("yaml", reason="pip install pyyaml")
    block = re.search(r"<!-- workflow -->\n```yaml\n(.*?)```", DOC, re.S)
    assert block
    steps = yaml.safe_load(block[1])["jobs"]["quick"]["steps"]
    lines = [line for step in steps for line in step.get("run", "").splitlines()]
    return steps, [
        part.strip() for line in lines for part in re.split(r"&&|\|\|", line) if part.strip().startswith("bench ")
    ]


def test_its_commands_can_be_parsed():
    _, commands = _commands()
    assert [command.split()[1] for command in commands] == ["run", "baseline", "check"]
    for command in commands:
        verb, *words = shlex.split(command.partition(" > ")[0])[1:]
        found = main.get_command(None, verb)
        known = {name for parameter in found.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_nothing_of_a_pull_request_is_pasted_into_a_shell():
    steps, _ = _commands()
    assert not any("${{" in step.get("run", "") for step in steps)


def test_the_table_has_the_tolerances():
    for measure, tolerance in TOLERANCES.items():
        assert re.search(rf"^\|.*`{measure}`.*\| {tolerance:g}\b", DOC, re.M), measure
