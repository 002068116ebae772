"""What the painter knows about a head's surface: palette, eyeballs, dental arch, per-vertex attributes."""

from __future__ import annotations

import numpy as np

from . import hair, mesh, paint
from .assets import Floats
from .head import UNITS, Head, head_unit
from .kernels import draw_triangles


def palette(head: Head) -> Floats:
    """Linear colours [5,3] in the order of ``paint``: skin, lips, hair, iris, cloth."""
    who = head.identity
    return np.array([who.skin, who.lips, who.hair, who.iris, who.cloth]) ** 2.2


def eyes(head: Head) -> Floats:
    """Centres [2,3] of the eyeballs, left first."""
    verts = np.unique(head.body_faces[head.body_part == mesh.EYE])
    balls = head.rest[verts]
    pick = [balls[balls[:, 0] > 0], balls[balls[:, 0] < 0]]
    return np.array([(ball.min(axis=0) + ball.max(axis=0)) / 2 for ball in pick])


def arch(head: Head) -> Floats:
    """Dental arch: z of its centre, radius, y of the upper and of the lower teeth's biting edges."""
    verts = np.unique(head.body_faces[head.body_part == mesh.TEETH])
    teeth = head.rest[verts]
    radius = float(np.abs(teeth[:, 0]).max())
    middle = float(np.median(teeth[:, 1]))
    upper, lower = teeth[teeth[:, 1] > middle], teeth[teeth[:, 1] <= middle]
    return np.array([float(teeth[:, 2].max()) - radius, radius, float(upper[:, 1].min()), float(lower[:, 1].max())])


def attributes(head: Head) -> Floats:
    """Per-vertex attributes [N,7] of ``paint``: OPEN … BEARD."""
    rest = head.rest
    out = np.zeros((len(rest), 7))
    out[:, paint.OPEN] = _openness(head)
    out[:, paint.INSIDE] = _inside(head)
    on_head = np.zeros(len(rest))
    on_head[head.skin] = head.follow[head.skin] > 0.9
    soft = 0.07 if head.identity.hair_style == "long" else 0.13
    out[:, paint.SCALP] = np.clip(hair.hairline(head, rest) / soft, 0, 1) * on_head
    out[: head.body_count, paint.EAR] = head.ear
    out[:, paint.SCALP] *= 1 - out[:, paint.EAR]
    out[:, paint.FOLLOW] = head.follow
    out[:, paint.COLLAR] = head.collar(rest)
    r = rest - head.ear_centre
    out[:, paint.BEARD] = np.clip((-0.28 * head.height - r[:, 1]) / 0.3, 0, 1) * (r[:, 2] > 0.15) * (head.follow > 0.75)
    return out


def _openness(head: Head) -> Floats:
    """Share [N] of 48 directions from which each vertex is seen, with the mouth a little open; 1 on convex skin."""
    coefficients = np.zeros(len(UNITS))
    coefficients[head_unit("jawOpen")] = 0.45
    points = head.shape(coefficients)
    rng = np.random.default_rng(5)
    side, seen = 500, np.zeros(len(points))
    r = points - points.mean(axis=0)
    for way in rng.normal(size=(48, 3)):
        way = way / np.linalg.norm(way)
        u = np.cross(way, [0.31, 0.5, 0.81])
        u /= np.linalg.norm(u)
        xy = np.stack([r @ u, r @ np.cross(u, way)], axis=1) * 80 + side / 2
        depth, index, bary = np.full((side, side), 1e9), np.full((side, side), -1), np.zeros((side, side, 3))
        draw_triangles(xy, 50 - r @ way, head.faces, head.cut, depth, index, bary)
        column, row = np.clip(xy.astype(int), 0, side - 1).T
        seen += 50 - r @ way < depth[row, column] + 0.06
    return np.clip(seen / 48 * 2, 0, 1)


def _inside(head: Head) -> Floats:
    """1 on the lining of the mouth, 0 outside: how far behind the closed lips a skin vertex lies."""
    z, _, _ = head.front
    column, row = np.clip(head.front_pixels(head.rest[:, :2]).astype(int), 0, z.shape[0] - 1).T
    behind = np.clip((z[row, column] - head.rest[:, 2] - 0.05) / 0.06, 0, 1)
    lips = head.mark_points[[61, 291, 0, 17]]
    near = (np.abs(head.rest[:, 0]) < 0.55) & (np.abs(head.rest[:, 1] - lips[2:, 1].mean()) < 0.45)
    near &= head.rest[:, 2] > head.ear_centre[2] + 0.1
    out = np.zeros(len(head.rest))
    out[head.skin] = (behind * near * (head.follow > 0.95))[head.skin]
    return out
