"""Fabricated runs for the tests of the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from make_run import make_run


@pytest.fixture(scope="session")
def fabricated(tmp_path_factory) -> Path:
    """A run folder with every state, only for reading."""
    return make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture
def own_run(fabricated, tmp_path) -> Path:
    """A run folder that the test may change."""
    return shutil.copytree(fabricated, tmp_path / "run")


@pytest.fixture(scope="session")
def page(fabricated) -> Path:
    """The fabricated run's report."""
    from bench.report import build

    return build(fabricated)
