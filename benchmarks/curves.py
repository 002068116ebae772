"""How time grows with Gaussians, pixels and channels, ours beside the torch peers: JSON and a plot.

``python benchmarks/curves.py [--rounds 7] [--quick] [--json FILE] [--plot FILE]``

All points of an axis take turns, so that a busy minute bends no curve.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import contests
import results
import timing
from contests import OURS, YARDSTICK, Contest

GAUSSIANS = (2_500, 5_000, 10_000, 20_000, 40_000)
PIXELS = (64, 128, 256, 512, 1024)
CHANNELS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
AXES: dict[str, tuple[tuple[int, ...], Callable[[int], list[Contest]]]] = {
    "gaussians": (GAUSSIANS, lambda n: [contests.rasterising(n, 256), contests.encoding(n), contests.network(n), contests.deforming(n)]),
    "pixels": (PIXELS, lambda size: [contests.rasterising(10_000, size), contests.similarity(size)]),
    "channels": (CHANNELS, lambda channels: [contests.rasterising(10_000, 256, channels)]),
}  # fmt: skip
_PEERS = {
    "mlp": ("torch",),
    "deform": ("torch",),
    "encode": ("grid_sample, planes batched",),
    "ssim": ("separable, stacked", YARDSTICK),
}
_PATIENCE = {"gaussians": 20_000, "pixels": 512}
"""Up to where the torch peers are worth waiting for."""


def measure(axis: str, rounds: int, quick: bool) -> dict[str, dict[str, Any]]:
    """Quartiles of milliseconds: {"contest, candidate": {place: quartiles}}."""
    places, made = AXES[axis]
    here: list[Contest] = []
    for place in places[:2] if quick else places:
        here += [
            replace(_affordable(c, place <= _PATIENCE.get(axis, 0)), name=f"{place} {c.name}") for c in made(place)
        ]
    curves: dict[str, dict[str, Any]] = {}
    for name, found in contests.measure(here, rounds).items():
        at, contest = name.split()
        for candidate, ms in found["milliseconds"].items():
            curves.setdefault(f"{contest}, {candidate}", {})[at] = ms
    return curves


def _affordable(contest: Contest, patient: bool) -> Contest:
    """``contest`` with its best peers, if it is worth waiting for them."""
    names = _PEERS.get(contest.name, ()) if patient else ()
    return Contest(contest.name, contest.ours, {name: contest.peers[name] for name in names})


def plot(axes: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """One panel an axis: ours solid, peers dashed in the same colour, quartiles as bands."""
    figure = Figure(figsize=(13, 5), layout="constrained")
    for panel, (axis, curves) in zip(figure.subplots(1, len(axes)), axes.items(), strict=True):
        _panel(panel, axis, curves)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    print(f"→ {path}")


TITLES = {
    "gaussians": ("Gaussians (rasterise: 256 × 256 pixels)", True),
    "pixels": ("pixels a side (rasterise: 10 000 Gaussians)", True),
    "channels": ("channels (10 000 Gaussians, 256 × 256 pixels)", False),
}
COLOURS = {"rasterise": "C0", "encode": "C1", "mlp": "C2", "deform": "C4", "ssim": "C3"}
STYLES = {OURS: "-", YARDSTICK: ":"}


def _panel(panel: Any, axis: str, curves: dict[str, dict[str, Any]]) -> None:
    title, logarithmic = TITLES[axis]
    for name, curve in curves.items():
        contest, candidate = name.split(", ", 1)
        x = [int(place) for place in curve]
        median, low, high = ([ms[key] for ms in curve.values()] for key in ("median", "low", "high"))
        style = STYLES.get(candidate, "--")
        label = contest if candidate == OURS else f"{contest}: {candidate}"
        panel.plot(x, median, style, color=COLOURS[contest], label=label, linewidth=2 if candidate == OURS else 1.2)
        panel.fill_between(x, low, high, color=COLOURS[contest], alpha=0.15, linewidth=0)
    ticks = sorted({int(place) for curve in curves.values() for place in curve})
    if logarithmic:
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.minorticks_off()
    else:
        panel.set_ylim(bottom=0)
    panel.set_xticks(ticks, [f"{tick:,}".replace(",", " ") for tick in ticks])
    panel.set_xlabel(title)
    panel.set_ylabel("ms, forward and backward")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)


def main() -> None:
    parser = results.options(__doc__, "curves", rounds=7)
    parser.add_argument("--plot", type=Path, default=results.FOLDER / "curves.svg", metavar="FILE", help="SVG or PNG")
    given = parser.parse_args()
    timing.settle()
    with timing.setting(rounds=given.rounds, quick=given.quick) as setting:
        axes = {axis: measure(axis, given.rounds, given.quick) for axis in TITLES}
    results.write(given.json, {"script": "curves", "setting": setting, "axes": axes})
    plot(axes, given.plot)


if __name__ == "__main__":
    main()
