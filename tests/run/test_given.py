"""The conditioning of the test split: read ahead of the renderer, let go behind it, and handed out in any order."""

from __future__ import annotations

import gc

import pytest

from bench.contract import Conditioning
from bench.errors import MethodError
from bench.run import given as module
from bench.run.given import Given
from bench.seeable import PARTS, SEEABLE
from bench.subject import Frame, Subject

SEES = frozenset({"pose", "torso_canvas"})


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two frames ahead, four kept; the toy has six test frames."""
    monkeypatch.setattr(module, "AHEAD", 2)
    monkeypatch.setattr(module, "_KEPT", 4)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of the frames whose canvas was made, in order."""
    made: list[int] = []
    plain = Frame.torso_canvas.func

    def counted(frame: Frame) -> object:
        made.append(frame.id)
        return plain(frame)

    monkeypatch.setattr(Frame.torso_canvas, "func", counted)
    return made


def test_what_comes_next_is_read_before_it_is_asked_for(toy_subject: Subject, reads: list[int], short: None):
    ids = toy_subject.test_ids
    frames = Given(toy_subject, SEES, ids)
    assert len(frames) == len(ids) == 6
    assert not reads
    for done in range(6):
        frames.prepare(done)
        before = list(reads)
        item = frames[done]
        assert item.id == ids[done]
        assert item.torso_canvas.shape == (64, 64, 3)
        assert reads == before
    frames.prepare(6)
    assert reads == ids  # each once
    assert frames.seconds > 0
    with pytest.raises(MethodError):
        _ = frames[0].audio


def test_what_lies_behind_is_let_go(toy_subject: Subject, short: None):
    gc.collect()
    others = sum(type(o) is Conditioning for o in gc.get_objects())
    frames = Given(toy_subject, SEES, toy_subject.test_ids)
    for done in range(6):
        frames.prepare(done)
        for place in range(6):
            _ = frames[place].camera  # a renderer that looks around
        gc.collect()
        assert sum(type(o) is Conditioning for o in gc.get_objects()) == others + 4


def test_any_order_and_more_than_once(toy_subject: Subject, reads: list[int], short: None):
    ids = toy_subject.test_ids
    frames = Given(toy_subject, SEES, ids)
    assert [item.id for item in reversed(frames)] == ids[::-1]
    assert [item.id for item in frames[-2:]] == ids[-2:]
    assert frames[-1] is frames[5]
    with pytest.raises(IndexError):
        _ = frames[6]
    for _ in range(2):
        assert [item.torso_canvas.shape[0] for item in frames] == [64] * 6
    assert reads == ids * 2  # too many to keep


def test_everything_that_can_be_seen_is_read_before_the_clock_runs():
    assert set(PARTS) == set(SEEABLE)
    opened = {name for names in PARTS.values() for name in names}
    free = {"background", "size", "id"}
    assert {name for name in vars(Conditioning) if not name.startswith("_")} - free == opened
