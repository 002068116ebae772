"""Frames are streamed: however long the subject, what a training and a rendering read stays within bounds."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from bench.run import given as module
from bench.run.given import Given
from bench.subject import Subject

sys.path.append(str(Path(__file__).parent))
import big  # noqa: E402

LIMITS = 10_000_000, 5_000_000
"""Bytes of frames and of canvases that the short subject's caches may hold: 11 of 100 frames, 6 of 100 canvases."""
SLACK = 110_000_000
"""Bytes beside the caches: torch's first calls, pictures on their way, the allocator's holes. Measured: 75 MB, and 167 MB or
more if one of the caches has no limit."""


def reading(folder: Path, limits: tuple[int, int], head_start: bool) -> dict[str, int]:
    """What tests/scale/reading.py says of a training's reading: a little more than one epoch of each kind."""
    script = Path(__file__).with_name("reading.py")
    command = [sys.executable, script, folder, *limits, 1.1, "yes" if head_start else "no"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """110 frames of 512×512."""
    return big.make(tmp_path_factory.mktemp("scale") / "short", 110)


def test_a_trainings_memory_does_not_grow_with_the_frames(short: Path):
    found = reading(short, LIMITS, head_start=False)
    assert found["frames"] == 100
    assert found["read"] > 2 * SLACK
    assert found["peak"] - found["before"] < sum(LIMITS) + SLACK


@pytest.mark.slow
def test_7000_frames_of_512_take_less_than_4_gb(tmp_path: Path):
    from methods.deformable import data

    found = reading(big.make(tmp_path / "long", 7000), (data._FRAME_BYTES, data._CANVAS_BYTES), head_start=True)
    assert found["frames"] == 6363
    assert found["read"] > 17e9
    assert found["peak"] < 4e9


def test_what_a_renderer_is_given_does_not_grow_with_the_frames(short: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "AHEAD", 4)
    monkeypatch.setattr(module, "_KEPT", 8)
    subject = Subject(short)
    _ = subject.background, subject.audio_features, subject.coefficients
    frames = Given(subject, frozenset({"pose", "audio", "expression", "hair_canvas"}), subject.ids[:40])
    tracemalloc.start()
    try:
        for done in range(len(frames)):
            frames.prepare(done)
            assert frames[done].hair_canvas.shape == (512, 512, 3)
        gc.collect()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    frame = 8 * 512 * 512 + 8 * 2 * 1024 * 4  # picture, canvas, classes, teeth; windows
    assert held < 9 * frame
    assert peak < 9 * frame + 40e6  # a canvas in the making
