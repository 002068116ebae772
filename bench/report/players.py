"""What the synchronised players of one subject need: videos, per-frame values, curves and the worst frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import DataError, RecordError
from bench.report.charts import Curve, Plot, Scale, Style, path
from bench.report.data import Cell, Run
from bench.report.media import Shelf, waveform
from bench.video import VideoInfo, probe

STRIPS = {"psnr": ("PSNR, dB", True, 2), "lmd": ("LMD, px", False, 2)}
"""Per-frame measures under the play bar: title, whether higher is better, decimals."""
WORST = 4
DEFAULT_FPS = 25.0
GROUND_TRUTH = "ground truth"


@dataclass(frozen=True)
class Worst:
    """A frame on which a method did badly."""

    index: int
    id: int
    measure: str
    text: str


@dataclass(frozen=True)
class Track:
    """One picture among the players: a method, or the ground truth."""

    number: int
    """Place among its subject's tracks, by which the page's script knows it."""
    label: str
    style: Style | None
    """None for the ground truth."""
    shown: bool
    """Whether it is switched on at first; floors and ceilings aren't, beside trained methods."""
    video: str
    """Link to the video, which is also the name that an embedded one goes by; empty if there is none."""
    file: Path | None
    values: Mapping[str, Sequence[float]]
    worst: tuple[Worst, ...] = ()


@dataclass(frozen=True)
class Players:
    """All of a subject."""

    subject: str
    fps: float
    ids: tuple[int, ...]
    size: tuple[int, int]
    tracks: tuple[Track, ...]
    strips: tuple[Plot, ...]
    wave: str
    problems: tuple[str, ...]

    @property
    def videos(self) -> list[Track]:
        """Tracks that can be played."""
        return [track for track in self.tracks if track.video]

    def script(self) -> dict[str, Any]:
        """What the page's script reads: strict JSON, missing values as null."""
        tracks = [
            {"video": track.video, "values": {name: [_json(v) for v in vs] for name, vs in track.values.items()}}
            for track in self.tracks
        ]
        return {"fps": self.fps, "ids": self.ids, "tracks": tracks}


def subject_players(
    run: Run, subject: str, styles: Mapping[str, Style], hidden: frozenset[str], shelf: Shelf
) -> Players:
    """Players of one subject; ``hidden`` methods are there but switched off."""
    cells = [cell for cell in run.cells if cell.key.subject == subject and cell.record]
    problems: list[str] = []
    tables = {cell.key: table for cell in cells if (table := _frames(cell, problems)) is not None}
    ids = sorted({int(i) for table in tables.values() for i in table.index})
    infos: dict[Path, VideoInfo] = {}
    for file in [run.ground_truth(subject), *(cell.preview for cell in cells)]:
        if file.exists() and (info := _probe(file, len(ids), problems)):
            infos[file] = info
    first = next(iter(infos.values()), None)
    fps = float(first.fps) if first else DEFAULT_FPS
    ids = ids or list(range(first.frames if first else 0))
    truth = run.ground_truth(subject)
    tracks = [_track(0, GROUND_TRUTH, truth if truth in infos else None, shelf)]
    for cell in cells:
        values = _values(tables.get(cell.key), ids)
        label = run.label(cell.key)
        name = f"{label} seed {cell.key.seed}" if _has_seeds(cells, run, label) else label
        track = _track(len(tracks), name, cell.preview if cell.preview in infos else None, shelf, styles[label], values)
        if values or track.file:
            tracks.append(replace(track, shown=label not in hidden, worst=_worst(values, ids, fps)))
    if not any(
        track.shown for track in tracks[1:]
    ):  # nothing but floors and ceilings yet: then they are the thing to see
        tracks = [replace(track, shown=True) for track in tracks]
    size = (first.width, first.height) if first else (1, 1)
    wave = waveform(truth, len(ids) / fps) if truth in infos and infos[truth].has_audio else ""
    return Players(subject, fps, tuple(ids), size, tuple(tracks), _strips(tracks, len(ids)), wave, tuple(problems))


def _track(
    number: int,
    label: str,
    file: Path | None,
    shelf: Shelf,
    style: Style | None = None,
    values: Mapping[str, Sequence[float]] | None = None,
) -> Track:
    return Track(number, label, style, True, shelf.href(file) if file else "", file, values or {})


def _has_seeds(cells: Sequence[Cell], run: Run, label: str) -> bool:
    return sum(run.label(cell.key) == label for cell in cells) > 1


def _frames(cell: Cell, problems: list[str]) -> pd.DataFrame | None:
    try:
        return cell.frames()
    except RecordError as error:
        problems.append(str(error))
        return None


def _probe(file: Path, expected: int, problems: list[str]) -> VideoInfo | None:
    try:
        info = probe(file)
    except DataError as error:
        problems.append(str(error))
        return None
    if expected and info.frames != expected:
        problems.append(f"{file} has {info.frames} frames where {expected} were scored: its picture may be out of step")
    return info


def _values(table: pd.DataFrame | None, ids: Sequence[int]) -> dict[str, list[float]]:
    if table is None:
        return {}
    aligned = table.reindex(ids)
    return {
        name: [float(v) for v in aligned[name]] for name in STRIPS if name in aligned and aligned[name].notna().any()
    }


def _worst(values: Mapping[str, Sequence[float]], ids: Sequence[int], fps: float) -> tuple[Worst, ...]:
    """The worst frames of each measure, at least half a second apart: neighbours show the same mistake."""
    found: list[Worst] = []
    for name, series in values.items():
        title, higher, digits = STRIPS[name]
        finite = [index for index, value in enumerate(series) if math.isfinite(value)]
        taken: list[int] = []
        for index in sorted(finite, key=lambda i: series[i] if higher else -series[i]):
            if len(taken) < WORST and all(abs(index - other) >= fps / 2 for other in taken):
                taken.append(index)
        measure, _, unit = title.partition(", ")
        found += [Worst(i, ids[i], measure, f"{series[i]:.{digits}f} {unit}") for i in taken]
    return tuple(found)


def _strips(tracks: Sequence[Track], count: int) -> tuple[Plot, ...]:
    plots = []
    x = Scale(0, max(count - 1, 1))
    for name, (title, _, _) in STRIPS.items():
        having = [(track, track.style, track.values[name]) for track in tracks if track.style and name in track.values]
        if having:
            y = Scale.around([v for *_, series in having for v in series], margin=0.1)
            curves = (Curve(track.label, style, path(range(count), series, x, y)) for track, style, series in having)
            plots.append(Plot(title, tuple(curves), tuple(y.ticks(3))))
    return tuple(plots)


def _json(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
