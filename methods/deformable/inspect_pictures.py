"""Pictures of an inspection: PNG files, black on white, maps with their scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.paths import atomic_file

GREY = 0.88
"""Where nothing is drawn."""
_DPI = 120
_COLOURS = ("#0072b2", "#d55e00")
Map = NDArray[np.float32]


def plain(path: Path, picture: NDArray[np.float32]) -> None:
    """Write RGB [H,W,3] in 0…1 as it is."""
    with atomic_file(path) as temporary:
        Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(temporary, "PNG")


def limits(maps: Sequence[Map], *, from_zero: bool) -> tuple[float, float]:
    """Ends of a scale that serves all ``maps`` [H,W] (NaN: nothing there): 2nd to 98th percentile, or 0 to the 99.5th."""
    known = np.concatenate([m[np.isfinite(m)] for m in maps])
    if not len(known):
        return 0.0, 1.0
    low, high = (0.0, float(np.percentile(known, 99.5))) if from_zero else map(float, np.percentile(known, (2, 98)))
    return (low, high) if high > low else (low, low + 1.0)


def heat(path: Path, values: Map, unit: str, colours: str, ends: tuple[float, float]) -> None:
    """A map [H,W] in colours with its scale; NaN is grey."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    height, width = values.shape
    figure = Figure(figsize=(4.2, 0.3 + 3.4 * height / width), dpi=_DPI, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    table = colormaps[colours].with_extremes(bad=str(GREY))
    drawn = axes.imshow(np.ma.masked_invalid(values), cmap=table, vmin=ends[0], vmax=ends[1], interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02, extend="both" if ends[0] else "max")
    bar.set_label(unit, size=8)
    bar.ax.tick_params(labelsize=7)
    _save(figure, path)


def histograms(path: Path, panels: Sequence[tuple[str, Mapping[str, NDArray[np.float32]], bool]]) -> None:
    """One panel an entry: (unit, values [N] by name, whether the axis is logarithmic)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(panels), 2.8), dpi=_DPI, facecolor="white", layout="constrained")
    for place, (unit, values, logarithmic) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        edges = _edges(np.concatenate(list(values.values())), logarithmic)
        for (name, found), colour in zip(values.items(), _COLOURS, strict=False):
            axes.hist(
                found, bins=edges, histtype="stepfilled", alpha=0.55, color=colour, label=f"{name} ({len(found)})"
            )
        axes.set(xlabel=unit, ylabel="Gaussians", xscale="log" if logarithmic else "linear", yscale="log")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(top=axes.get_ylim()[1] * 6)  # room for the legend
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    _save(figure, path)


def _edges(values: NDArray[np.float32], logarithmic: bool) -> NDArray[np.float64]:
    """41 edges: from 0 to 1, or from the least to the greatest positive value, evenly on a logarithmic axis."""
    if not logarithmic:
        return np.linspace(0, 1, 41)
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 10.0)
    return np.geomspace(low * 0.999, high * 1.001, 41)


def _save(figure: Any, path: Path) -> None:
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")
