"""Looks into a trained model: clouds as PLY files, maps of test frames, sizes, motion, the embedding's main directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import threads
from bench.inspection import File, Inspection, InspectTask, Picture, Section, Sheet, Table
from bench.paths import atomic_file
from methods.deformable import inspect_pictures as pictures
from methods.deformable.inspect_maps import (
    DRAWN,
    MILLI,
    Maps,
    branches,
    draw_planes,
    frame_maps,
    mean_motion,
    mean_over_alpha,
    principal,
)
from methods.deformable.sample import View
from methods.gaussians.ply import write_ply

if TYPE_CHECKING:
    from methods.deformable.plugin import GaussianRenderer

_OVER_TIME = 100
"""Most frames that a mean over time is taken of."""
_SPREAD = ("min", "p5", "p25", "median", "p75", "p95", "max", "mean")


@torch.no_grad()
def inspect_checkpoint(renderer: GaussianRenderer, task: InspectTask) -> Inspection:
    """Write everything into ``task.out`` and describe it (:meth:`bench.inspection.Inspectable.inspect`)."""
    with threads.one_torch_thread():
        return Inspection(
            (_clouds(renderer, task), _frames(renderer, task), _motion(renderer, task), _embedding(renderer, task))
        )


# -- the Gaussians ------------------------------------------------------------------------------------------


def _clouds(renderer: GaussianRenderer, task: InspectTask) -> Section:
    clouds, files = branches(renderer), []
    for name, cloud in clouds.items():
        write_ply(task.out / f"{name}.ply", cloud)
        files.append(
            File(f"{name}.ply", f"{len(cloud)} canonical Gaussians of the {name} branch, for viewers of 3-d Gaussians")
        )
    sizes = {name: cloud.scales().cpu().numpy() * MILLI for name, cloud in clouds.items()}
    opacities = {name: cloud.opacities().cpu().numpy() for name, cloud in clouds.items()}
    longest = {name: size.max(1) for name, size in sizes.items()}
    pictures.histograms(
        task.out / "sizes.png",
        [("longest axis, 10⁻³ scene units", longest, True), ("opacity", opacities, False)],
    )
    counts = {n: (len(c), c.active_degree, sum(v.numel() for v in c.raw.values())) for n, c in clouds.items()}
    tables = (
        Table("counts", "Number of Gaussians", ("gaussians", "degree of harmonics", "parameters"), counts),
        _spreads("longest_axis", "Standard deviation along the longest axis, 10⁻³ scene units", longest),
        _spreads(
            "shortest_axis",
            "Standard deviation along the shortest axis, 10⁻³ scene units",
            {n: s.min(1) for n, s in sizes.items()},
        ),
        _spreads("opacity", "Opacity", opacities),
    )
    return Section(
        "gaussians",
        "Gaussians",
        "The canonical clouds, before audio and expression move them. A scene unit is the subject's, about a metre; "
        "axes are the head's, y up.",
        tables,
        (Sheet((Picture("sizes.png", "How many Gaussians have which size and opacity"),)),),
        tuple(files),
    )  # fmt: skip


def _spreads(key: str, title: str, values: dict[str, NDArray[np.float32]]) -> Table:
    return Table(key, title, _SPREAD, {name: _spread(found) for name, found in values.items()})


def _spread(values: NDArray[np.floating]) -> tuple[float | None, ...]:  # type: ignore[type-arg]  # any width
    if not len(values):
        return (None,) * len(_SPREAD)
    quantiles = np.percentile(values.astype(np.float64), (0, 5, 25, 50, 75, 95, 100))
    return (*map(float, quantiles), float(values.astype(np.float64).mean()))


# -- maps of frames -----------------------------------------------------------------------------------------


_KINDS = {
    "depth": ("depth, scene units", "cividis_r", "expected depth along the camera's axis, both branches"),
    "motion": ("|Δμ|, 10⁻³ scene units", "magma", "how far the Gaussians seen there are from their canonical place"),
    "audio": ("norm", "viridis", "attention of the face branch to audio"),
    "expression": ("norm", "viridis", "attention of the face branch to expression"),
}
"""Unit, colours and meaning of each map."""


def _frames(renderer: GaussianRenderer, task: InspectTask) -> Section:
    maps = [frame_maps(renderer, given) for given in task.chosen]
    limits = {kind: pictures.limits([getattr(m, kind) for m in maps], from_zero=kind != "depth") for kind in _KINDS}
    values = {
        f"frame {m.id}, {kind}": _spread(getattr(m, kind)[np.isfinite(getattr(m, kind))])
        for m in maps
        for kind in _KINDS
    }
    return Section(
        "maps",
        "Maps of test frames",
        "Each map is the mean over the Gaussians seen at a pixel, weighted as their colours are, divided by alpha; grey where "
        f"alpha is below {DRAWN}. A scale is the same for all frames, from the 2nd to the 98th percentile for depth, else from 0 "
        "to the 99.5th. The mouth branch has no attention: where only it is seen, the attention maps are grey.",
        (Table("maps", "Values over the pixels of each map", _SPREAD, values),),
        tuple(_sheet(found, limits, task) for found in maps),
    )


def _sheet(maps: Maps, limits: dict[str, tuple[float, float]], task: InspectTask) -> Sheet:
    pictures.plain(task.out / f"frame-{maps.id}.png", maps.rendered)
    shown = [Picture(f"frame-{maps.id}.png", "as rendered")]
    for kind, (unit, colours, words) in _KINDS.items():
        name = f"{kind}-{maps.id}.png"
        pictures.heat(task.out / name, getattr(maps, kind), unit, colours, limits[kind])
        shown.append(Picture(name, words))
    return Sheet(tuple(shown), f"Frame {maps.id}")


# -- motion over time ---------------------------------------------------------------------------------------


def _motion(renderer: GaussianRenderer, task: InspectTask) -> Section:
    picks = np.unique(np.linspace(0, len(task.every) - 1, min(_OVER_TIME, len(task.every))).round().astype(int))
    lengths = mean_motion(renderer, [task.every[i] for i in picks])
    view = _middle_view(renderer, task)
    face, face_alpha = draw_planes(renderer.face, view, None, lengths["face"][:, None])
    mouth, mouth_alpha = draw_planes(renderer.mouth, view, None, lengths["mouth"][:, None])
    both = face[2:] + (1 - face_alpha) * mouth[2:]
    (found,) = mean_over_alpha(both, face_alpha + (1 - face_alpha) * mouth_alpha)
    pictures.heat(
        task.out / "mean-motion.png",
        found,
        "mean |Δμ|, 10⁻³ scene units",
        "magma",
        pictures.limits([found], from_zero=True),
    )
    table = _spreads(
        "mean_motion",
        "Mean |Δμ| of each Gaussian over time, 10⁻³ scene units",
        {n: v.cpu().numpy() for n, v in lengths.items()},
    )
    return Section(
        "motion",
        "Deformation",
        f"How far audio and expression move each Gaussian, averaged over {len(picks)} of the {len(task.every)} test frames, "
        "drawn on the canonical clouds.",
        (table,),
        (Sheet((Picture("mean-motion.png", "Mean |Δμ| over time on the canonical clouds, 10⁻³ scene units"),)),),
    )


def _middle_view(renderer: GaussianRenderer, task: InspectTask) -> View:
    return View.of(task.chosen[len(task.chosen) // 2].camera, renderer.device)


# -- the embedding ------------------------------------------------------------------------------------------


def _embedding(renderer: GaussianRenderer, task: InspectTask) -> Section:
    title = "Embedding"
    if not renderer.design.embedding:
        return Section("embedding", title, f"{renderer.design.name} as trained here has no embedding of its Gaussians.")
    rows: dict[str, tuple[float | None, ...]] = {}
    shown: list[Picture] = []
    vectors: dict[str, NDArray[np.float32]] = {}
    view = _middle_view(renderer, task)
    for name, cloud in branches(renderer).items():
        vectors[name] = cloud.embedding.cpu().numpy()
        scores, shares = principal(cloud.embedding)
        norm = float(cloud.embedding.norm(dim=1).mean()) if len(cloud) else None
        rows[name] = (len(cloud), norm, *map(float, shares))
        planes, alpha = draw_planes(cloud, view, None, _as_colours(scores))
        pictures.plain(task.out / f"embedding-{name}.png", _over_grey(planes[2:], alpha))
        shown.append(
            Picture(
                f"embedding-{name}.png",
                f"{name}: canonical Gaussians, red, green and blue their places along the first three principal components",
            )
        )
    with atomic_file(task.out / "embedding.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **vectors)
    columns = ("gaussians", "mean norm", "share of 1st", "share of 2nd", "share of 3rd")
    return Section(
        "embedding",
        title,
        "Principal components of the Gaussians' embedding, each branch by itself. A component runs from dark at its 2nd to full colour "
        "at its 98th percentile; share: of the embedding's variance.",
        (Table("components", "Principal components", columns, rows),),
        (Sheet(tuple(shown)),),
        (File("embedding.npz", "the embedding [N,d] of each branch, rows as in its PLY file"),),
    )


def _as_colours(scores: Tensor) -> Tensor:
    """[N,3] in [0,1]: each column from its 2nd to its 98th percentile; 0.5 where it has no width."""
    if not len(scores):
        return scores
    low, high = torch.quantile(scores, scores.new_tensor([0.02, 0.98]), dim=0)
    width = high - low
    return torch.where(width > 0, ((scores - low) / width.clamp_min(1e-30)).clamp(0, 1), 0.5)


def _over_grey(planes: Tensor, alpha: Tensor) -> NDArray[np.float32]:
    """[h,w,3] premultiplied colours [3,h,w] over light grey."""
    return (planes + (1 - alpha) * pictures.GREY).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
