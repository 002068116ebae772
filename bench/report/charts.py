"""Turns numbers into geometry: scales with ticks, curves as SVG paths, points of the scatter plot.

Coordinates are percent of the plot (y downwards), so that a plot stretches with the page while its text, set in HTML, doesn't.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COLOURS = 7
"""Colour-blind-safe colours in ``report.css`` (Okabe and Ito's, yellow left out: it can't be seen on white)."""
DASHES = 4
SHAPES = ("circle", "square", "triangle", "diamond")
MAX_POINTS = 400

REAL_TIME = 25.0
"""Frames per second of the field's videos."""


@dataclass(frozen=True)
class Style:
    """How a method is drawn, everywhere on the page."""

    colour: str
    dash: int

    @property
    def css(self) -> str:
        """Class names."""
        return f"{self.colour} d{self.dash}"


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Scale:
    """Maps values to percent along an axis, linearly or by logarithm."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Iterable[float], log: bool = False, margin: float = 0.06) -> Scale:
        """A scale with all finite ``values`` (positive ones if ``log``) and some room at both ends."""
        good = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0]
        low, high = (math.log10(f(good)) if log else f(good) for f in (min, max))
        room = (high - low) * margin or (0.3 if log else max(abs(high) * margin, 1e-6))
        return cls(low - room, high + room, log)

    def at(self, value: float) -> float:
        """Percent along the axis."""
        position = math.log10(value) if self.log else value
        return round(100 * (position - self.low) / (self.high - self.low), 2)

    def ticks(self, count: int = 4) -> list[Tick]:
        """Round numbers along the axis; powers of ten and their halves if logarithmic."""
        span = self.high - self.low
        if self.log:
            steps = (1, 2, 5) if span < 2 else (1,)
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            values = [m * 10.0**d for d in decades for m in steps if self.low <= math.log10(m * 10.0**d) <= self.high]
            if len(values) > 1:
                return [Tick(self.at(v), f"{v:g}") for v in values]
            return [Tick(self.at(10**v), f"{10**v:.2g}") for v in (self.low + span * 0.1, self.high - span * 0.1)]
        raw = span / count
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(m * size for m in (1, 2, 5, 10) if m * size >= raw)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        digits = max(0, -math.floor(math.log10(step)))
        return [Tick(self.at(i * step), _number(i * step, digits)) for i in range(first, last + 1)]


def _number(value: float, digits: int) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e4 else f"{value:.{digits}f}"


@dataclass(frozen=True)
class Curve:
    """One line of a plot."""

    label: str
    style: Style
    path: str


@dataclass(frozen=True)
class Plot:
    """A line plot."""

    title: str
    curves: tuple[Curve, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...] = ()
    x_label: str = ""


def styles(methods: Sequence[tuple[str, bool]]) -> dict[str, Style]:
    """A style for each (label, is reference): trained methods get colours, floors and ceilings grey dashes."""
    found: dict[str, Style] = {}
    colour = grey = 0
    for label, reference in methods:
        if reference:
            found[label] = Style("ref", 1 + grey % (DASHES - 1))
            grey += 1
        else:
            found[label] = Style(f"c{colour % COLOURS}", colour // COLOURS % DASHES)
            colour += 1
    return found


def path(xs: Sequence[float], ys: Sequence[float], x: Scale, y: Scale) -> str:
    """SVG path of a curve in a 1000 × 100 box; it is broken where a value is missing."""
    parts: list[str] = []
    pen_down = False
    for value, height in zip(xs, ys, strict=True):
        if not math.isfinite(height) or (y.log and height <= 0):
            pen_down = False
            continue
        # "h0" makes a lone point between two gaps visible.
        parts.append(
            f"{'L' if pen_down else 'M'}{x.at(value) * 10:.1f} {100 - y.at(height):.1f}{'' if pen_down else 'h0'}"
        )
        pen_down = True
    return "".join(parts)


def line_plot(title: str, series: Sequence[tuple[str, Style, Sequence[float], Sequence[float]]], x_label: str) -> Plot:
    """Curves (label, style, xs, ys) over a common axis; thinned evenly to at most ``MAX_POINTS`` points each."""
    values = [v for *_, ys in series for v in ys if math.isfinite(v)]
    log = bool(values) and min(values) > 0 and max(values) > 20 * min(values)
    y = Scale.around(values, log)
    x = Scale.around([v for _, _, xs, _ in series for v in xs], margin=0.0)
    curves = []
    for label, style, xs, ys in series:
        stride = -(-len(xs) // MAX_POINTS)
        curves.append(Curve(label, style, path(xs[::stride], ys[::stride], x, y)))
    return Plot(title, tuple(curves), tuple(y.ticks(3)), tuple(x.ticks(4)), x_label)


@dataclass(frozen=True)
class Point:
    """One method in the scatter plot."""

    label: str
    style: Style
    shape: str
    x: float
    y: float
    side: str
    """Where its label stands: ``right`` or ``left`` of it, ``above`` or ``below`` it; ``none``: there is no room for one."""
    about: str


@dataclass(frozen=True)
class Scatter:
    """Quality against speed."""

    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    real_time: float | None
    shapes: tuple[tuple[str, str], ...]
    """(canvas, shape)"""
    omitted: tuple[str, ...]
    """Methods that lack one of the two numbers."""


@dataclass(frozen=True)
class Mark:
    """What the scatter plot needs of a method."""

    label: str
    canvas: str
    fps: float | None
    psnr: float | None
    about: str


def scatter(marks: Sequence[Mark], style: dict[str, Style]) -> Scatter:
    """Speed (logarithmic) to the right, PSNR upwards; the shape of a point is its canvas."""
    drawn = [(mark, mark.fps, mark.psnr) for mark in marks if mark.fps and mark.psnr is not None]
    x = Scale.around([fps for _, fps, _ in drawn] + [REAL_TIME], log=True, margin=0.12)
    y = Scale.around([psnr for *_, psnr in drawn], margin=0.15)
    canvases = list(dict.fromkeys(mark.canvas for mark, *_ in drawn))
    shapes = {canvas: SHAPES[index % len(SHAPES)] for index, canvas in enumerate(canvases)}
    points: list[Point] = []
    taken: list[tuple[float, float, float, float]] = []
    for mark, fps, psnr in drawn:
        at = (x.at(fps), 100 - y.at(psnr))
        side = _free_side(mark.label, at, taken)
        points.append(Point(mark.label, style[mark.label], shapes[mark.canvas], at[0], at[1], side, mark.about))
    missing = tuple(mark.label for mark in marks if not (mark.fps and mark.psnr is not None))
    ticks = (tuple(x.ticks()), tuple(y.ticks()))
    return Scatter(tuple(points), *ticks, x.at(REAL_TIME), tuple(shapes.items()), missing)


def _free_side(label: str, at: tuple[float, float], taken: list[tuple[float, float, float, float]]) -> str:
    """The first side of a point where its label meets no other one, or ``none``; sizes are for a plot of about 500 × 170 pixels."""
    width, height, gap = 1.45 * len(label) + 1, 9.0, 2.0
    x, y = at
    boxes = {
        "right": (x, y - height / 2, x + gap + width, y + height / 2),
        "left": (x - gap - width, y - height / 2, x, y + height / 2),
        "above": (x - width / 2, y - 2 * height, x + width / 2, y - height / 3),
        "below": (x - width / 2, y + height / 3, x + width / 2, y + 2 * height),
    }

    def free(box: tuple[float, float, float, float]) -> bool:
        inside = box[0] >= 0 and box[2] <= 100
        return inside and not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)

    side = next((name for name, box in boxes.items() if free(box)), "none")
    if side != "none":
        taken.append(boxes[side])
    return side
