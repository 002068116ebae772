"""A picture of audits: what was rendered, and which of its pixels are the test frame's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audit.measure import Audit
from bench.paths import atomic_file

_SIDE = 2.5
"""Inches of one picture; 110 pixels an inch."""
_DPI = 110
_LABEL, _HEAD, _CAPTION, _LEGEND, _GAP = 1.9, 0.35, 0.32, 0.5, 0.1
"""Inches: the column of names, the heads of the columns, the line under a picture, the legend's strip, between pictures."""
_GREY = "0.25"
_HEADS = ("test frame", "rendered", "copied from the test frame")


@dataclass(frozen=True, eq=False)
class Row:
    """One cell in the picture."""

    title: str
    notes: Sequence[str]
    """Lines under the title, some 25 characters each."""
    audit: Audit
    place: int
    """Which of the audit's frames is shown."""
    truth: NDArray[np.uint8]
    """[H,W,3] the test frame."""
    rendered: NDArray[np.uint8]
    """[H,W,3] what the method made of it."""


def tinted(rendered: NDArray[np.uint8], share: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame in light grey, from white to red by copied share.

    :param rendered: RGB [H,W,3]
    :param share: copied share × 255 [H,W]
    :returns: RGB [H,W,3]; white stays white at a share of 0 and becomes pure red at 1
    """
    light = 0.4 + 0.6 * (rendered @ np.array([0.299, 0.587, 0.114])) / 255
    left = 1 - share / 255
    return np.rint(255 * light[..., None] * np.stack([np.ones_like(left), left, left], axis=-1)).astype(np.uint8)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Write the picture as PNG: a row a cell, with the copied share of the whole sample and of the frame shown."""
    from matplotlib.figure import Figure

    heights = [_SIDE * row.truth.shape[0] / row.truth.shape[1] for row in rows]
    width, height = _LABEL + 3 * (_SIDE + _GAP), _HEAD + sum(heights) + _CAPTION * len(rows) + _LEGEND
    sheet = _Sheet(Figure(figsize=(width, height), dpi=_DPI, facecolor="white"), width, height)
    for column, head in enumerate(_HEADS):
        sheet.write(_left(column), _HEAD - 0.12, head, color=_GREY)
    top = _HEAD
    for row, tall in zip(rows, heights, strict=True):
        _draw_row(sheet, row, top, tall)
        top += tall + _CAPTION
    _draw_legend(sheet, top + 0.1)
    with atomic_file(path) as temporary:
        sheet.figure.savefig(temporary, format="png", pil_kwargs={"optimize": True})


def _left(column: int) -> float:
    return _LABEL + column * (_SIDE + _GAP)


@dataclass(frozen=True)
class _Sheet:
    """A figure on which places are in inches from its upper left corner."""

    figure: Any
    width: float
    height: float

    def show(self, left: float, top: float, width: float, height: float, pixels: NDArray[np.uint8]) -> None:
        """A picture [H,W,3] in that box."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.imshow(pixels, aspect="auto", interpolation="lanczos")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("0.8")

    def write(self, left: float, top: float, text: str, **style: Any) -> None:
        """One line; ``top`` is its baseline."""
        self.figure.text(left / self.width, 1 - top / self.height, text, **{"size": 9, "va": "baseline", **style})


def _draw_row(sheet: _Sheet, row: Row, top: float, tall: float) -> None:
    share = row.audit.maps[row.place]
    for column, pixels in enumerate((row.truth, row.rendered, tinted(row.rendered, share))):
        sheet.show(_left(column), top, _SIDE, tall, pixels)
    sheet.write(0.1, top + 0.17, row.title, size=11, weight="bold")
    for line, note in enumerate(row.notes):
        sheet.write(0.1, top + 0.4 + 0.19 * line, note, color=_GREY)
    number, percent = row.audit.ids[row.place], 100 * row.audit.per_frame[row.place]
    sheet.write(_left(0), top + tall + 0.16, f"frame {number}", color=_GREY)
    sheet.write(_left(2), top + tall + 0.16, f"{percent:.1f} % of this frame", color=_GREY)


def _draw_legend(sheet: _Sheet, top: float) -> None:
    """White to red with its ends named, under the last column."""
    white, ramp = np.full((8, 256, 3), 255, np.uint8), np.tile(np.arange(256).astype(np.uint8), (8, 1))
    sheet.show(_left(2), top, _SIDE, 0.12, tinted(white, ramp))
    for place, label, align in ((0.0, "0 %", "left"), (0.5, "copied share", "center"), (1.0, "100 %", "right")):
        sheet.write(_left(2) + place * _SIDE, top + 0.28, label, color=_GREY, ha=align)
