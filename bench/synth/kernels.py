"""The compiled inner loops: depth buffers for triangles and strands, soft shadows, occlusion, noise.

Everything is single-threaded and free of fast-math, so a picture depends on its inputs alone. Pixel ``(row, column)`` covers
``[column, column + 1) × [row, row + 1)``; depth is the distance along the viewing axis, in dm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from .assets import Floats, Ints

_F = TypeVar("_F", bound=Callable[..., Any])


def jit(function: _F) -> _F:
    """``numba.njit`` with a disk cache; keeps the function's type."""
    return cast(_F, numba.njit(cache=True, error_model="numpy")(function))


@jit
def draw_triangles(xy: Floats, z: Floats, faces: Ints, cut: Floats, depth: Floats, index: Ints, bary: Floats) -> None:
    """Draw ``faces`` [M,3] into ``depth``/``index`` [H,W] and perspective-correct ``bary`` [H,W,3].

    ``cut`` [N] is a scalar per vertex: a pixel where it interpolates below zero is left out, so a surface can end inside a
    triangle along a clean line.
    """
    height, width = depth.shape
    for t in range(faces.shape[0]):
        i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
        x0, y0, x1, y1, x2, y2 = xy[i, 0], xy[i, 1], xy[j, 0], xy[j, 1], xy[k, 0], xy[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-12 or (cut[i] < 0 and cut[j] < 0 and cut[k] < 0):
            continue
        top, bottom = max(int(np.floor(min(y0, y1, y2))), 0), min(int(np.ceil(max(y0, y1, y2))), height - 1)
        left, right = max(int(np.floor(min(x0, x1, x2))), 0), min(int(np.ceil(max(x0, x1, x2))), width - 1)
        for row in range(top, bottom + 1):
            py = row + 0.5
            for column in range(left, right + 1):
                px = column + 0.5
                a = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) / area
                b = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) / area
                c = 1.0 - a - b
                if a < 0 or b < 0 or c < 0:
                    continue
                a, b, c = a / z[i], b / z[j], c / z[k]
                here = 1.0 / (a + b + c)
                if here >= depth[row, column] or (a * cut[i] + b * cut[j] + c * cut[k]) < 0:
                    continue
                depth[row, column], index[row, column] = here, t
                bary[row, column, 0], bary[row, column, 1], bary[row, column, 2] = a * here, b * here, c * here


@jit
def draw_strands(
    xy: Floats, z: Floats, radius: Floats, taper: float, depth: Floats, index: Ints, along: Floats
) -> None:
    """Draw polylines ``xy`` [S,K,2] of half width ``radius`` [S] px; ``along`` gets the position in segments (0…K−1)."""
    height, width = depth.shape
    strands, points = z.shape
    for s in range(strands):
        for k in range(points - 1):
            x, y, dx, dy = xy[s, k, 0], xy[s, k, 1], xy[s, k + 1, 0] - xy[s, k, 0], xy[s, k + 1, 1] - xy[s, k, 1]
            if max(x, x + dx) < -2 or min(x, x + dx) > width + 2 or max(y, y + dy) < -2 or min(y, y + dy) > height + 2:
                continue
            r = radius[s] * (1.0 - taper * k / points)
            steps = int(max(abs(dx), abs(dy))) + 1
            for m in range(steps):
                t = m / steps
                here = z[s, k] + (z[s, k + 1] - z[s, k]) * t
                top, left = int(np.floor(y + dy * t - r + 0.5)), int(np.floor(x + dx * t - r + 0.5))
                bottom, right = int(np.floor(y + dy * t + r + 0.5)), int(np.floor(x + dx * t + r + 0.5))
                for row in range(max(top, 0), min(max(bottom, top + 1), height)):
                    for column in range(max(left, 0), min(max(right, left + 1), width)):
                        if here < depth[row, column]:
                            depth[row, column], index[row, column], along[row, column] = here, s, k + t


@jit
def _hash(i: int, j: int, k: int) -> float:
    n = (i * 374761393 + j * 668265263 + k * 1274126177) & 0x7FFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0x7FFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFF) / 65535.0


@jit
def noise(x: float, y: float, z: float) -> float:
    """Smooth value noise in 0…1 with unit lattice."""
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    u, v, w = x - i, y - j, z - k
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
                total += weight * _hash(i + a, j + b, k + c)
    return total


@jit
def lit(shadow_map: Floats, x: float, y: float, depth: float, spread: float) -> float:
    """Share of light in 0…1 that reaches map position ``(x, y)`` at ``depth``, averaged over 5 × 5 taps."""
    size = shadow_map.shape[0]
    open_taps = 0
    for a in range(-2, 3):
        for b in range(-2, 3):
            row, column = int(y + a * spread), int(x + b * spread)
            if row < 0 or column < 0 or row >= size or column >= size or shadow_map[row, column] > depth:
                open_taps += 1
    return open_taps / 25.0


@jit
def occlusion(depth: Floats, radius: float, reach: float, out: Floats) -> None:
    """Screen-space openness ``out`` [H,W] in 0…1: 1 where nothing within ``radius`` px stands in front (≤ ``reach`` dm)."""
    height, width = depth.shape
    for row in range(height):
        for column in range(width):
            here = depth[row, column]
            if here > 1e5:
                continue
            blocked, taps = 0.0, 0
            for a in range(8):
                angle = a * 0.785398 + ((column * 7 + row * 13) % 8) * 0.0982
                for s in range(1, 4):
                    y, x = int(row + np.sin(angle) * radius * s / 3), int(column + np.cos(angle) * radius * s / 3)
                    if y < 0 or x < 0 or y >= height or x >= width:
                        continue
                    taps += 1
                    gap = here - depth[y, x]
                    if 0.012 * s < gap < 2 * reach:
                        blocked += 1 - max(0.0, gap - reach) / reach
            out[row, column] = 1 - blocked / max(taps, 1)


@jit
def move_points(points: Floats, share: Floats, table: Floats, pivot: Floats, out: Floats) -> None:
    """Move ``points`` [N,3] about ``pivot`` by the affine maps ``table`` [S,3,4], interpolated at ``share`` [N] in 0…1."""
    last = table.shape[0] - 1
    for n in range(points.shape[0]):
        place = min(max(share[n], 0.0), 1.0) * last
        low = min(int(place), last - 1)
        f = place - low
        x, y, z = points[n, 0] - pivot[0], points[n, 1] - pivot[1], points[n, 2] - pivot[2]
        for r in range(3):
            a = table[low, r, 0] * x + table[low, r, 1] * y + table[low, r, 2] * z + table[low, r, 3]
            b = table[low + 1, r, 0] * x + table[low + 1, r, 1] * y + table[low + 1, r, 2] * z + table[low + 1, r, 3]
            out[n, r] = pivot[r] + a * (1 - f) + b * f
