"""The engine that all tests of containers share, and the one image they are made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dockerd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))  # for harness.py


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A client of an engine of this session's own; skips where none can start."""
    with dockerd.running() as client:
        yield client


@pytest.fixture
def clean(engine: Any) -> Iterator[Any]:
    """The engine, without any container, volume or process of ours before and after the test."""
    assert dockerd.left_over(engine) == []
    yield engine
    assert dockerd.left_over(engine) == []
