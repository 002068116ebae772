"""Hair: a few hundred guide curves combed over the head and down past the shoulders, and the strands around them.

Guides are grown step by step: inertia, comb direction, gravity, and never through head or shirt. Each strand follows its nearest
guide and closes in on it towards the tip, which is what makes locks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from . import mesh
from .assets import Floats
from .head import Head

# Hairline: height above the ears (in head heights) over the angle from straight ahead (degrees).
_ANGLES = [0, 20, 38, 52, 64, 76, 90, 104, 130, 180]
_LINE = {
    "long": [0.745, 0.74, 0.67, 0.49, 0.24, 0.10, 0.10, -0.24, -0.50, -0.62],
    "short": [0.77, 0.775, 0.74, 0.52, 0.20, -0.06, 0.04, -0.12, -0.38, -0.46],
}

_PART = {"long": 0.10, "short": 0.34}  # dm to the subject's left


@dataclass(frozen=True)
class Strands:
    """Curves ``points`` [S,K,3] (dm, rest) with ``share`` [S,K] of the head's motion and half width ``radius`` [S] in dm.

    ``tint`` [S] varies the colour (about ±1), ``layer`` [S] tells inner (0) from outer (1) hair, ``outward`` [S,3] points away
    from the head at the root.
    """

    points: Floats
    share: Floats
    radius: Floats
    tint: Floats
    layer: Floats
    outward: Floats


def hairline(head: Head, points: Floats) -> Floats:
    """Height [N] of ``points`` above the hairline, dm."""
    r = points - head.ear_centre
    angle = np.degrees(np.arctan2(np.abs(r[:, 0]), r[:, 2]))
    return np.asarray(r[:, 1] - np.interp(angle, _ANGLES, _LINE[head.identity.hair_style]) * head.height)


def _smooth(low: float, high: float, x: Floats) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _roots(head: Head, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """``count`` places on the scalp [n,3], evenly by area, with their normals [n,3]."""
    rest, faces = head.rest, head.body_faces
    r = rest - head.ear_centre
    inner = (r[:, 2] > -0.45) & (np.abs(r[:, 0]) < 0.52) & (r[:, 1] < 0.45 * head.height)
    inner |= (np.abs(r[:, 1]) < 0.4) & (np.abs(r[:, 2]) < 0.35) & (np.abs(r[:, 0]) < 0.64)
    ok = (head.body_part == mesh.SKIN) & ~inner[faces].any(axis=1) & (hairline(head, rest)[faces].min(axis=1) > 0)
    ok &= (head.follow[faces].min(axis=1) > 0.9) & ~head.ear[faces].any(axis=1)
    corners = rest[faces[ok]]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    pick = rng.choice(len(area), count, p=area / area.sum())
    weight = rng.dirichlet([1, 1, 1], count)
    normal = mesh.at(mesh.normals(rest, head.faces), faces[ok], pick, weight)
    return mesh.at(rest, faces[ok], pick, weight), normal / np.linalg.norm(normal, axis=1, keepdims=True)


def unit(vectors: Floats) -> Floats:
    """``vectors`` [...,3] at length 1."""
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-12))


class _Body:
    """Nearest-vertex collision with head and shirt."""

    def __init__(self, head: Head) -> None:
        shown = np.concatenate([head.skin, np.arange(head.body_count, len(head.rest))])
        shown = shown[head.cut[shown] > -0.05]
        self.points, self.normals = head.rest[shown], mesh.normals(head.rest, head.faces)[shown]
        self.tree = cKDTree(self.points)

    def hug(self, places: Floats, clearance: Floats) -> tuple[Floats, Floats]:
        """Bring places [n,3] near ``clearance`` [n] above the skin; returns them and the normals there."""
        _, index = self.tree.query(places)
        normal = self.normals[index]
        gap = ((places - self.points[index]) * normal).sum(axis=1)
        return places + normal * (0.6 * (clearance - gap))[:, None], normal

    def keep_out(self, places: Floats, directions: Floats, clearance: Floats, push: Floats) -> tuple[Floats, Floats]:
        """Move places [n,3] closer than ``clearance`` [n] out along normal + ``push`` [n,3]; take the inward part off directions."""
        near, index = self.tree.query(places)
        normal = self.normals[index]
        gap = ((places - self.points[index]) * normal).sum(axis=1)
        outward = unit(normal + push)
        lift = np.clip(clearance - gap, 0, None) * (near < 0.7)
        inward = np.minimum((directions * normal).sum(axis=1), 0) * (gap < clearance * 1.3)
        return places + outward * (0.9 * lift)[:, None], unit(directions - normal * inward[:, None])


def _grow_long(
    head: Head, body: _Body, root: Floats, normal: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Guides [n,K,3] of long parted hair and their layer [n]."""
    n, steps = len(root), 40
    r = root - head.ear_centre
    side = np.where(root[:, 0] > _PART["long"], 1.0, -1.0)
    front, up = np.clip(r[:, 2], 0, 1), np.clip(r[:, 1] / head.height, 0, 1)
    angle = np.degrees(np.arctan2(np.abs(r[:, 0]), r[:, 2]))
    falls_front = angle + rng.normal(0, 9, n) < 112
    layer = rng.random(n)
    clearance = 0.03 + 0.11 * layer * (0.6 + 0.4 * up)
    direction = unit(
        np.stack([side * (0.95 - 0.2 * front), 0.25 * up - 0.1, 0.02 - 0.60 * front], axis=1) + 0.22 * normal
    )
    tip = head.neck[1] - 0.30 + rng.normal(0, 0.10, n) - 0.12 * (1 - layer)
    step = (root[:, 1] - tip + 0.75 * np.abs(up)) / (steps - 1) * head.identity.length
    lane = 0.60 + 0.42 * np.clip((angle - 25) / 85, 0, 1) + rng.normal(0, 0.03, n)
    shoulder = head.neck[1] + 0.75
    place, curve = root + normal * 0.01, [root]
    for k in range(1, steps):
        low = _smooth(-0.5, 0.35, shoulder - place[:, 1])
        forward = np.where(
            falls_front, 0.75 * (head.neck[2] + 0.62 - place[:, 2]), 1.2 * (head.neck[2] - 0.55 - place[:, 2])
        )
        sideways = np.where(falls_front, lane * side - place[:, 0], 0.55 * side - place[:, 0])
        hang = np.stack([0.9 * low * sideways, -np.ones(n), low * forward], axis=1)
        direction = unit(0.75 * direction + 0.25 * hang)
        place = place + direction * step[:, None]
        clear = clearance * min(1.0, (k * 0.08 + 0.05) / 0.35) + 0.03 * low
        push = np.where(falls_front, 1.3, -1.3)[:, None] * low[:, None] * np.array([0.0, 0.0, 1.0])
        place, direction = body.keep_out(place, direction, clear, push)
        curve.append(place)
    return np.stack(curve, axis=1), layer


def _grow_short(
    head: Head, body: _Body, root: Floats, normal: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Guides [n,K,3] of short hair swept from a side parting, close at the sides."""
    n, steps = len(root), 12
    r = root - head.ear_centre
    up = np.clip(r[:, 1] / head.height, -0.6, 1)
    top = _smooth(0.50, 0.78, up)[:, None]
    layer = rng.random(n)
    across = np.where(root[:, 0] > _PART["short"], 0.8, -0.9)
    swept = np.stack([across, 0 * across, 0.55 - 0.8 * (r[:, 2] < 0.2)], axis=1)
    down = np.stack([0 * across, -np.ones(n), -0.5 * np.ones(n)], axis=1)
    comb = unit(top * swept + (1 - top) * down + 0.07 * rng.normal(0, 1, (n, 3)))
    length = (0.13 + 0.33 * top[:, 0]) * (0.85 + 0.3 * rng.random(n)) * head.identity.length
    length *= np.clip(0.35 + 2.2 * hairline(head, root), 0, 1)
    quiff = 1 + 0.6 * _smooth(0.45, 0.95, r[:, 2] / head.height) * top[:, 0]
    clearance = (0.012 + 0.030 * layer) + (0.03 + 0.13 * layer) * top[:, 0] * quiff
    place, curve, direction = root, [root], unit(comb + (0.5 + top) * normal)
    for k in range(1, steps):
        rise = np.sin(np.pi * (0.12 + 0.76 * k / steps))
        place, skin = body.hug(place + direction * (length / (steps - 1))[:, None], clearance * rise)
        flat = comb - skin * (comb * skin).sum(axis=1, keepdims=True)
        direction = unit(0.6 * direction + 0.4 * flat)
        curve.append(place)
    return np.stack(curve, axis=1), layer


def grow(head: Head) -> Strands:
    """All hair strands of a head."""
    long = head.identity.hair_style == "long"
    rng = np.random.default_rng([head.identity.seed, 1])
    guides, count, closing = (900, 20000, 0.62) if long else (2200, 26000, 0.45)
    body = _Body(head)
    root, normal = _roots(head, guides, rng)
    curves, layer = (_grow_long if long else _grow_short)(head, body, root, normal, rng)
    if long:
        curves = curves + _waves(head, curves, rng)
    part = _PART[head.identity.hair_style]
    apart = np.array([5.0, 0.0, 0.0])  # dm added on one side, so that no strand follows a guide across the parting
    key = curves[:, 0] + (curves[:, 0, :1] > part) * apart
    place, outward = _roots(head, count, rng)
    chosen = cKDTree(key).query(place + (place[:, :1] > part) * apart)[1]
    points = _follow(curves[chosen], place, closing, rng)
    tint = np.clip(0.7 * rng.normal(0, 1, guides)[chosen] + 0.5 * rng.normal(0, 1, count), -2, 2) * 0.55
    radius = np.full(count, 0.0062 if long else 0.0068)
    low = (points[..., 1] - (head.neck[1] + 0.2)) / (head.chin - head.neck[1] + 0.9)
    share = np.clip(low, 0.15, 1.0) if long else np.ones(points.shape[:2])
    return Strands(points, share, radius, tint, layer[chosen], outward)


def _waves(head: Head, curves: Floats, rng: np.random.Generator) -> Floats:
    """Soft S-waves [n,K,3] below the ears, in step among neighbours."""
    angle = np.arctan2(curves[:, 0, 0], curves[:, 0, 2] - head.ear_centre[2])
    fall = np.clip(head.ear_centre[1] + 0.25 - curves[..., 1], 0, None)
    phase = (1.3 * np.sin(2.0 * angle) + 2.2 * angle + rng.normal(0, 0.5, len(curves)))[:, None]
    size = 0.055 * head.identity.wave * np.clip(fall / 1.2, 0, 1)
    turn = 2 * np.pi * fall / 1.15 + phase
    return np.stack([size * np.sin(turn), 0 * turn, 0.8 * size * np.cos(turn)], axis=-1)


def _follow(guide: Floats, root: Floats, closing: float, rng: np.random.Generator) -> Floats:
    """Strands [n,K,3] that start at ``root`` and close in on their ``guide`` [n,K,3] towards the tip."""
    n, steps = guide.shape[:2]
    s = np.linspace(0, 1, steps)[None, :, None]
    grip = closing * (0.7 + 0.6 * rng.random((n, 1, 1)))
    spread = 1 - grip * np.clip(s / 0.55, 0, 1) ** 1.3
    # A few loose hairs leave the lock smoothly; all of them scatter by a hair's breadth or two.
    size = np.linalg.norm(guide[:, -1] - guide[:, 0], axis=1)[:, None, None]
    loose = np.where(rng.random((n, 1, 1)) < 0.05, 0.016, 0.005) * size * rng.normal(0, 1, (n, 1, 3))
    # Uneven tips: strands end at different shares of their guide.
    reach = 1 - 0.12 * rng.random((n, 1))
    at = np.clip(s[..., 0] * reach * (steps - 1), 0, steps - 1.001)
    low = at.astype(int)
    f = (at - low)[..., None]
    rows = np.arange(n)[:, None]
    along = guide[rows, low] * (1 - f) + guide[rows, low + 1] * f
    return np.asarray(along + (root - guide[:, 0])[:, None] * spread + loose * s**1.5)
