"""What all tests share: the toy subject, a cache of their own, and a few misbehaving methods."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

from bench import registry
from bench.subject import Subject

os.environ.setdefault(
    "BENCH_CACHE", "off"
)  # tests leave nothing in the user's cache; those of the cache have their own
_PLUGINS, _STRANGERS = Path(__file__).parent / "plugins", Path(__file__).parent / "strangers"
_DATA = Path(__file__).resolve().parents[2] / "shared/data"


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy subject's folder; don't write into it."""
    return toy.make(tmp_path_factory.mktemp("subjects") / "toy")


@pytest.fixture(scope="session")
def toy_subject(toy_folder: Path) -> Subject:
    """The toy subject, opened."""
    return Subject(toy_folder)


@pytest.fixture
def own_toy(toy_folder: Path, tmp_path: Path) -> Path:
    """A copy of the toy subject's folder to break."""
    return Path(shutil.copytree(toy_folder, tmp_path / "toy"))


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The methods of tests/plugins are installed, here and in child processes."""
    yield from _installed(_PLUGINS, monkeypatch)


@pytest.fixture(scope="module")
def plugins_for_all() -> Iterator[None]:
    """The same, for a module's own fixtures."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield from _installed(_PLUGINS, monkeypatch)


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The methods of tests/strangers, which misbehave when they are imported, are installed."""
    yield from _installed(_STRANGERS, monkeypatch)


def _installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    registry._entries.cache_clear()
    yield
    registry._entries.cache_clear()


@pytest.fixture(scope="session")
def obama() -> Path:
    """Folder of the Obama sample beside the checkout; its pictures never enter the repository."""
    folder = _DATA / "obama_sample"
    if not (folder / "obama_256.mp4").exists():
        pytest.skip(f"no real sample: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def parser() -> Path:
    """The face parser beside the checkout."""
    model = _DATA / "weights/bisenetv2_celebamaskhq_448_int8.tflite"
    if not model.exists():
        pytest.skip(f"no face parser: {model} is absent")
    pytest.importorskip("ai_edge_litert", reason="pip install 'talkbench[parser]'")
    return model
