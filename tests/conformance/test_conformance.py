"""``bench methods check``: who keeps the contract passes, and each way of breaking it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import registry
from bench.cli import main
from bench.conformance import Outcome, run
from bench.conformance.trial import Trial
from bench.subject import Subject

pytestmark = pytest.mark.usefixtures("plugins")


def _checked(name: str, subject: Subject, folder: Path) -> dict[str, Outcome]:
    return {outcome.check: outcome for outcome in run(Trial(name, registry.get(name), subject, "quick", folder))}


def test_a_method_that_resumes_passes(toy_subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_SLOW", "0.02")
    found = _checked("t-slow", toy_subject, tmp_path)
    assert found["runs"].state == "ok"
    assert found["deterministic"].state == "ok"
    assert found["resumes"].detail == "killed half way and started again: the same checkpoint"
    assert found["frames stand alone"].state == "ok"
    assert found["copies what it says"].detail == "0.0% of the picture is the test frame's"
    # it has no checkpoint to miss: this one check it fails
    assert found["fails cleanly"].detail == "an empty checkpoint folder renders all the same"


def test_a_method_that_does_not_run_is_not_tried_further(toy_subject: Subject, tmp_path: Path) -> None:
    found = _checked("t-raises", toy_subject, tmp_path)
    assert found["runs"].state == "failed"
    assert "the loss became nan" in found["runs"].detail
    assert {found[name].state for name in ("deterministic", "resumes", "frames stand alone")} == {"skipped"}


def test_the_verb(toy_folder: Path) -> None:
    arguments = ["methods", "check", "mean-frame", "--subject", str(toy_folder)]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    states: dict[str, Any] = {each["check"]: each["state"] for each in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 0, result.stdout
    assert "failed" not in states.values()
    result = CliRunner().invoke(main, ["methods", "check", "t-short", "--subject", str(toy_folder)])
    assert result.exit_code == 1
    assert "✗ runs" in result.stdout
    assert "is missing" in result.stdout


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(main, ["methods", "check", "mean-fram"])
    assert result.exit_code == 2
    assert "mean-frame" in result.stderr
