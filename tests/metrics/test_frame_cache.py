"""The cache of single frames' results: keys, bounds, damage, several users at once; and the landmarks kept in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench import landmarks
from bench.errors import BenchWarning, UsageError
from bench.metrics import cache


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BENCH_CACHE", raising=False)
    return tmp_path / "home"


def random_frames(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)


def test_only_on_and_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", "no")
    with pytest.raises(UsageError, match="BENCH_CACHE=no: expected on or off"):
        cache.store("lpips")


def test_the_key_is_everything_that_matters() -> None:
    frame = random_frames(1)[0]
    other = frame.copy()
    other[0, 0, 0] ^= 1
    frames = [frame, other, frame.reshape(4, 16, 3), np.ascontiguousarray(frame[:, ::-1])]
    keys = [cache.key(f, "lpips") for f in frames] + [cache.key(frame, "lpips", "2"), cache.key(frame, "lpips2")]
    assert len(set(keys)) == len(keys)
    assert cache.key(frame[:, ::-1], "lpips") == keys[3]  # whatever lies in memory between the rows


class TestStore:
    def filled(self, folder: Path, limit: int, count: int) -> cache.Store:
        """``count`` entries of two blocks each, the first used longest ago, all before the store was opened."""
        for number in range(count):
            cache.Store(folder, 1 << 30).put(f"old{number}", bytes(6000))
            os.utime(folder / f"old{number}", (1000 + number, 1000 + number))
        return cache.Store(folder, limit)

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    def test_gives_back_what_was_put(self, tmp_path: Path) -> None:
        store = cache.Store(tmp_path / "s", 1 << 20)
        assert store.get("a") is None
        for data in (b"", b"x", bytes(range(256)) * 100):
            store.put("a", data)
            assert store.get("a") == data
        assert store.get("b") is None

    def test_drops_what_was_used_longest_ago(self, tmp_path: Path) -> None:
        store = self.filled(tmp_path, 5 * 8192, 5)
        assert store.get("old0") == bytes(6000)  # now the newest
        for number in range(3):
            store.put(f"new{number}", bytes(6000))
        assert self.names(tmp_path) == ["new0", "new1", "new2", "old0", "old4"]

    def test_never_drops_what_is_in_use(self, tmp_path: Path) -> None:
        store = self.filled(tmp_path, 4 * 8192, 1)
        for number in range(9):
            store.put(f"new{number}", bytes(6000))
        assert self.names(tmp_path) == [f"new{number}" for number in range(4)]
        assert all(store.get(f"new{number}") for number in range(4))

    def test_takes_nothing_larger_than_itself(self, tmp_path: Path) -> None:
        store = self.filled(tmp_path, 8192, 1)
        store.put("large", bytes(9000))
        assert store.get("large") is None

    def test_sees_what_others_add(self, tmp_path: Path) -> None:
        limit = 128 * 4096
        stores = [cache.Store(tmp_path, limit) for _ in range(2)]
        for number in range(200):
            stores[number % 2].put(str(number), b"x")
        assert len(self.names(tmp_path)) <= 128 + 2 * 2  # each may be behind by a 64th

    def test_forgets_half_written_files(self, tmp_path: Path) -> None:
        for name, age in ((".old", 7200), (".new", 0)):
            (tmp_path / name).write_bytes(b"half")
            os.utime(tmp_path / name, (time.time() - age,) * 2)
        cache.Store(tmp_path, 1 << 20).put("a", b"x")
        assert self.names(tmp_path) == [".new", "a"]

    def test_a_damaged_entry_is_said_and_gone(self, tmp_path: Path) -> None:
        store = cache.Store(tmp_path, 1 << 20)
        store.put("a", b"content")
        (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1] + b"x")
        with pytest.warns(BenchWarning, match="a was damaged, so it is computed again"):
            assert store.get("a") is None
        assert self.names(tmp_path) == []

    def test_two_processes_at_once(self, tmp_path: Path) -> None:
        """Both write, read and drop the same few entries: whatever is read is whole."""
        code = (
            "import sys, pathlib, random; from bench.metrics.cache import Store\n"
            "folder, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]); random.seed(seed); hits = 0\n"
            "for turn in range(400):\n"
            "    store = Store(folder, 12 * 8192); store._opened = float('inf')  # all may be dropped\n"
            "    n = random.randrange(20); found = store.get(str(n)); hits += found is not None\n"
            "    assert found in (None, bytes([n]) * 7000), (n, len(found))\n"
            "    store.put(str(n), bytes([n]) * 7000)\n"
            "print(hits)"
        )
        command = [sys.executable, "-W", "error", "-P", "-c", code, str(tmp_path)]
        pair = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True) for seed in range(2)]
        hits = [int(process.communicate()[0]) for process in pair]
        assert [process.returncode for process in pair] == [0, 0]
        assert min(hits) > 0
        assert len(self.names(tmp_path)) <= 13
        assert not list(tmp_path.glob(".*"))


class Counting:
    """A detector that knows how often it was asked."""

    name, version = "counting", "1"

    def __init__(self) -> None:
        self.asked = 0

    def detect(self, frame: np.ndarray) -> landmarks.Points | None:
        self.asked += 1
        return None if frame[0, 0, 0] % 2 else np.full((68, 2), frame.mean(), np.float32)


def test_landmarks_are_remembered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, frames = Counting(), random_frames(6)
    frames[:, 0, 0, 0] = [0, 1, 2, 3, 4, 5]
    expected = landmarks.detect_all(detector, frames)
    assert np.isnan(expected).all(axis=(1, 2)).tolist() == [False, True] * 3
    assert not home.exists()
    for asked in (12, 12):
        found = landmarks.detect_all(detector, frames, remember=True)
        assert np.array_equal(found, expected, equal_nan=True)
        assert found.dtype == np.float32
        assert detector.asked == asked
    assert len(list((home / "cache/landmarks").iterdir())) == 6
    other = Counting()
    other.version = "2"
    landmarks.detect_all(other, frames, remember=True)
    assert other.asked == 6
    monkeypatch.setenv("BENCH_CACHE", "off")
    landmarks.detect_all(other, frames, remember=True)
    assert other.asked == 12
