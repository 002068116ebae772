"""Brow hairs and lashes: single strands that ride on the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import mesh
from .assets import Floats
from .facemap import LOWER_LIDS, UPPER_LIDS, brow_arcs
from .hair import unit
from .head import Anchors, Head


@dataclass(frozen=True)
class FaceHair:
    """Strands ``points`` [S,5,3] (dm, rest) of half width ``radius`` [S] in dm; the first ``brows`` of them are brow hairs.

    Each moves with its ``host`` anchor on the skin; ``tint`` [S] varies the colour.
    """

    points: Floats
    host: Anchors
    radius: Floats
    tint: Floats
    brows: int


def grow(head: Head) -> FaceHair:
    """Both brows and all lashes of a head."""
    rng = np.random.default_rng([head.identity.seed, 2])
    female = head.identity.sex == "female"
    parts = [_brow(head, arc, female, rng) for arc in brow_arcs(head)]
    brows = sum(len(points) for points, _ in parts)
    for lids, size, lift in ((UPPER_LIDS, 0.05 if female else 0.03, 1.0), (LOWER_LIDS, 0.022, -1.0)):
        parts += [_lashes(head, marks, size, lift, rng) for marks in lids]
    points = np.concatenate([curve for curve, _ in parts])
    host = Anchors(
        np.concatenate([anchor.triangle for _, anchor in parts]), np.concatenate([anchor.weight for _, anchor in parts])
    )
    radius = np.full(len(points), 0.0032)
    radius[:brows] = 0.0034 if female else 0.0042
    return FaceHair(points, host, radius, rng.normal(0, 0.5, len(points)), brows)


def _brow(head: Head, arc: Floats, female: bool, rng: np.random.Generator) -> tuple[Floats, Anchors]:
    """Brow hairs [n,5,3] along a centre line [5,2], rising at the inner end, lying flat towards the tail."""
    count, thick = (230, 0.030) if female else (330, 0.040)
    u = rng.random(count)
    centre = np.stack([np.interp(u * 4, range(5), arc[:, c]) for c in range(2)], axis=1)
    tangent = unit(
        np.stack([np.gradient(np.interp(np.linspace(0, 4, 50), range(5), arc[:, c])) for c in range(2)], axis=1)
    )
    along = tangent[(u * 49).astype(int)]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * np.sign(along[:, :1])
    width = thick * np.interp(u, [0, 0.15, 0.5, 1], [0.5, 0.95, 0.85, 0.25])
    v = np.clip(rng.normal(0, 0.5, count), -1, 1)
    host = head.on_face(centre + across * (width * v)[:, None])
    spot = host.on(head.rest, head.faces)
    n = unit(host.on(mesh.normals(head.rest, head.faces), head.faces))
    rise = np.interp(u, [0, 0.25, 0.6, 1], [0.9, 0.45, 0.05, -0.15]) - 0.35 * v * (u > 0.2)
    lean = unit(np.pad(along + across * rise[:, None] + rng.normal(0, 0.10, (count, 2)), ((0, 0), (0, 1))))
    lean = unit(lean - n * (lean * n).sum(axis=1, keepdims=True))
    length = rng.uniform(0.055, 0.085, count) * np.interp(u, [0, 0.8, 1], [0.8, 1, 0.8])
    s = np.linspace(0, 1, 5)[None, :, None]
    raised = n[:, None] * (0.006 + 0.010 * s * (1 - s))
    return spot[:, None] + raised + lean[:, None] * length[:, None, None] * s, host


def _lashes(head: Head, marks: list[int], size: float, lift: float, rng: np.random.Generator) -> tuple[Floats, Anchors]:
    """Curved lashes [n,5,3] along a lid, whose nine ``marks`` run from the outer to the inner corner."""
    lid = head.mark_points[marks]
    count = 60 if lift > 0 else 30
    u = rng.random(count) * 7.4
    root = np.stack([np.interp(u, range(9), lid[:, c]) for c in range(3)], axis=1)
    side = np.sign(lid[:, 0].mean())
    fan = side * (0.8 - u / 8 * 1.1)
    out = unit(np.stack([fan, 0.25 * lift + 0 * u, 0.9 + 0 * u], axis=1) + rng.normal(0, 0.07, (count, 3)))
    length = size * rng.uniform(0.75, 1.1, count) * np.interp(u, [0, 2, 8], [1.15, 1.0, 0.6])
    s = np.linspace(0, 1, 5)[None, :, None]
    curl = np.array([0.0, 0.5 * size * lift, 0.0]) * s**2
    near = np.array(marks)[np.round(u).astype(int)]
    host = Anchors(head.marks.triangle[near], head.marks.weight[near])
    return root[:, None] + np.array([0, 0, 0.006]) + out[:, None] * length[:, None, None] * s + curl, host
