"""Fabricated runs for the tests of the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from make_run import make_ablation, make_run


@pytest.fixture(scope="session")
def fabricated(tmp_path_factory) -> Path:
    """A run folder with every state, only for reading."""
    return make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture
def own_run(fabricated, tmp_path) -> Path:
    """A run folder that the test may change."""
    return shutil.copytree(fabricated, tmp_path / "run")


@pytest.fixture(scope="session")
def ablation(tmp_path_factory) -> Path:
    """A run folder with a method and three variants, only for reading."""
    return make_ablation(tmp_path_factory.mktemp("report"))


@pytest.fixture
def own_ablation(ablation, tmp_path) -> Path:
    """The same to change."""
    return shutil.copytree(ablation, tmp_path / "ablation")


@pytest.fixture(scope="session")
def page(fabricated) -> Path:
    """The fabricated run's report."""
    from bench.report import build

    return build(fabricated)
