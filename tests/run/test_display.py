"""Progress of many cells stays readable: counted when well, told when not, as many at work as there is room for."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.records import CellKey, Record
from bench.run import display as module
from bench.run.display import Display
from bench.run.layout import RunFolder


def _keys(count: int) -> list[CellKey]:
    return [CellKey(method="m", subject="ada", preset="quick", seed=n) for n in range(count)]


def _show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, expected: Any, **rest: Any
) -> tuple[Display, io.StringIO]:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=terminal, width=120, height=20, soft_wrap=True, highlight=False, color_system=None
    )
    monkeypatch.setattr(module, "Console", lambda **_: console)
    return Display(RunFolder(tmp_path), expected, **rest), out


def _record(key: CellKey, status: Any = "ok", error: str | None = None) -> Record:
    return Record(cell=key, status=status, error=error, seconds=3.0)


def _picture(display: Display) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(display._picture())
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_of_many_cells_only_what_went_wrong_has_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = _keys(100)
    display, out = _show(tmp_path, monkeypatch, True, dict.fromkeys(keys), kept=7)
    for n, key in enumerate(keys[:60]):
        display.started(key)
        display.event(key, {"event": "stage", "stage": "fine", "total": 40})
        display.event(key, {"event": "step", "done": 12, "scalars": {"loss": 0.25}})
        display.ended(key, _record(key, "failed", "the loss became nan") if n == 30 else _record(key))
    for key in keys[60:64]:
        display.started(key)
        display.event(key, {"event": "stage", "stage": "fine", "total": 40})
        display.event(key, {"event": "step", "done": 12, "scalars": {"loss": 0.25}})
    lines = out.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("[31/100] m · ada · seed 30: failed the loss became nan (log: ")
    picture = _picture(display)
    assert re.fullmatch(
        r"60 of 100 cells over · 1 failed · 4 at work · 7 kept from before · about \d+ s left", picture[0]
    )
    assert len(picture) == 5
    assert all("12/40" in line and "loss 0.25" in line for line in picture[1:])


def test_no_more_rows_than_the_terminal_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = _keys(100)
    display, _ = _show(tmp_path, monkeypatch, True, dict.fromkeys(keys))
    for key in keys:
        display.started(key)
    picture = _picture(display)
    assert len(picture) == 1 + 16 + 1
    assert picture[-1] == "… and 84 more at work"


def test_few_cells_have_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = _keys(3)
    display, out = _show(tmp_path, monkeypatch, True, dict.fromkeys(keys))
    for key in keys:
        display.started(key)
        display.ended(key, _record(key))
    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == [
        "[1/3] m · ada", "[2/3] m · ada · seed 1", "[3/3] m · ada · seed 2"
    ]  # fmt: skip


def test_what_is_left_follows_from_what_cells_are_known_to_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    long, short, unknown = _keys(3)
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    display, _ = _show(tmp_path, monkeypatch, True, {long: 90.0, short: 10.0, unknown: None})
    assert "left" not in _picture(display)[0]
    clock[0] += 20
    display.started(short)
    display.ended(short, _record(short))
    assert _picture(display)[0].endswith("about 5 min left")  # 20 s for 10 of 150: 90, 10, and 50 as is usual
    for key in (long, unknown):
        display.started(key)
        display.ended(key, _record(key))
    assert "left" not in _picture(display)[0]


def test_a_log_has_a_line_for_each_cell_and_of_few_their_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for count, lines in ((2, 4), (100, 100)):
        keys = _keys(count)
        display, out = _show(tmp_path, monkeypatch, False, dict.fromkeys(keys))
        with display:
            for key in keys:
                display.started(key)
                display.event(key, {"event": "stage", "stage": "fine", "total": 4})
                display.ended(key, _record(key))
        assert len(out.getvalue().splitlines()) == lines


def test_live_bars_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (key,) = _keys(1)
    display, out = _show(tmp_path, monkeypatch, True, {key: None})
    with display:
        display.started(key)
        display._live.refresh()
        assert "0 of 1 cells over · 1 at work" in out.getvalue()
        display.event(key, {"event": "note", "text": "slow"})
        display.event(key, {"event": "note", "text": "slow"})
        display.ended(key, _record(key, "invalid", "0 of 6 frames"))
    assert out.getvalue().count("note: slow") == 1
    assert "done in 3 s    invalid: 0 of 6 frames" in out.getvalue()
