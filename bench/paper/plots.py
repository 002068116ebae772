"""Quality against speed, and curves over the test frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.names import file_names
from bench.paper.figure import MARKERS, NARROW, WIDE, Drawn, line_styles, look, short, to_pdf
from bench.paper.shown import Shown
from bench.paper.tables import usable
from bench.report.charts import REAL_TIME
from bench.report.overview import Overview
from bench.report.rows import Row
from bench.report.uncertainty import frame_series, frame_tables
from bench.report.values import Column, Value

_CURVES = (("psnr@face", "PSNR face, dB"), ("psnr", "PSNR, dB"), ("lmd", "LMD, px"), ("lpips", "LPIPS"))
_MOST_PANELS = 3


def quality_speed(overview: Overview) -> Drawn | None:
    """PSNR against frames per second; None unless two methods have both."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    trained = list(usable(overview.summary))
    column = _quality(overview.summary.columns, trained)
    rows = [row for row in trained if column and row.values["fps"].value and row.values[column.key].value is not None]
    if column is None or len(rows) < 2:
        return None
    styles = line_styles([row.method for row in rows])
    canvases = list(dict.fromkeys(row.canvas for row in rows))
    markers = {canvas: list(MARKERS)[place % len(MARKERS)] for place, canvas in enumerate(canvases)}
    with look():
        figure = Figure(figsize=(NARROW, 2.5), layout="constrained")
        axes: Any = figure.subplots()
        for place, row in enumerate(rows):
            value = row.values[column.key]
            axes.errorbar(
                row.values["fps"].value, value.value, yerr=_bars(value), fmt=markers[row.canvas], label=short(row.method),
                color=styles[row.method][0], elinewidth=0.6,
                # Hollow, and each of another size: points that meet stay to be told apart.
                markerfacecolor="none", markersize=4 + 1.5 * (place % 3),
            )  # fmt: skip
        axes.axvline(REAL_TIME, color="0.6", linewidth=0.6, linestyle=":")
        axes.set(xscale="log", xlabel="frames per second", ylabel=f"{column.title}, {column.unit}")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(0.1)
        figure.legend(loc="outside upper center", ncols=3, fontsize=7)
        pdf = to_pdf(figure)
    shapes = "; ".join(f"{MARKERS[marker]}: {canvas or 'not stated'}" for canvas, marker in markers.items())
    caption = (
        f"{column.title} against rendering speed, means over subjects; bars are 95 % intervals, the dotted line is the rate of the "
        f"footage ({REAL_TIME:g} frames per second). Shapes are canvases ({shapes})."
    )
    return Drawn("quality-speed", "quality against speed", caption, pdf, wide=False)


def _quality(columns: Sequence[Column], rows: Sequence[Row]) -> Column | None:
    """PSNR in the face, which every method draws itself; of the whole frame where it wasn't taken."""
    found = [c for key in ("psnr@face", "psnr") for c in columns if c.key.partition(" (")[0] == key]
    return next((c for c in found if sum(row.values[c.key].value is not None for row in rows) > 1), None)


def _bars(value: Value) -> NDArray[np.float64] | None:
    """How far the interval reaches below and above, [2, 1]."""
    if value.value is None or value.ci95 is None:
        return None
    return np.array([[value.value - value.ci95[0]], [value.ci95[1] - value.value]]).clip(min=0)


def curves(shown: Sequence[Shown], notes: list[str]) -> list[Drawn]:
    """Measures over the test frames of each subject, a line a method; a method without such values gets a note."""
    names = file_names([each.subject for each in shown])
    found = [_curves(each, f"frames-{names[each.subject]}", notes) for each in shown]
    return [drawn for drawn in found if drawn]


def _curves(shown: Shown, name: str, notes: list[str]) -> Drawn | None:
    from matplotlib.figure import Figure

    tables = frame_tables(shown.cells)
    notes += [f"curves of {label} on {shown.subject}: no per-frame values" for label, t in tables.items() if t is None]
    panels: list[tuple[str, dict[str, NDArray[np.float64]]]] = []
    for key, title in _CURVES:
        measure, _, region = key.partition("@")
        found = {label: frame_series(table, measure, region or "full") for label, table in tables.items()}
        series = {label: one for label, one in found.items() if one is not None and np.isfinite(one).any()}
        panels += [(title, series)] if series else []
    panels = panels[:_MOST_PANELS]
    if not panels:
        return None
    styles = line_styles(list(shown.cells))
    with look():
        figure = Figure(figsize=(WIDE, 1.3 * len(panels) + 0.7), layout="constrained")
        grid = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for axes, (title, series) in zip(grid, panels, strict=True):
            for label, one in series.items():
                table = tables[label]
                assert table is not None
                colour, dash = styles[label]
                axes.plot(table.index, np.where(np.isfinite(one), one, np.nan), dash, color=colour, label=short(label))
            axes.set_ylabel(title)
        grid[-1].set_xlabel("frame")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(6, len(labels)), fontsize=7)
        pdf = to_pdf(figure)
    caption = f"Test frames of {shown.subject}, one by one (seed {shown.seed}); a line is broken where a frame could not be scored."
    return Drawn(name, f"frame by frame, {shown.subject}", caption, pdf)
