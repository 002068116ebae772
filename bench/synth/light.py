"""Compiled lighting: a portrait set of key, fill, rim and sky over the painted surfaces, and strand shading for hair.

Lights stand still in the room; the head moves under them. Colours are linear RGB.
"""

from __future__ import annotations

import numpy as np

from .assets import Floats, Ints
from .kernels import jit, lit, noise
from .paint import CLOTH_K, HAIR_K, MOUTH_K, TEETH_K


def _unit(x: float, y: float, z: float) -> Floats:
    vector = np.array([x, y, z])
    return np.asarray(vector / np.linalg.norm(vector))


KEY = _unit(0.42, 0.50, 0.76)
FILL = _unit(-0.70, 0.12, 0.70)
RIM = _unit(-0.55, 0.45, -0.70)
# The orthonormal frame of the shadow map: across, up.
ACROSS = _unit(KEY[2], 0.0, -KEY[0])
UP = np.cross(KEY, ACROSS)
SHADOW_SPAN = 8.5  # dm seen by the shadow map

_KEY_C = np.array([1.0, 0.965, 0.925]) * 1.20
_FILL_C = np.array([0.86, 0.93, 1.0]) * 0.46
_SKY_C = np.array([0.80, 0.86, 0.92]) * 0.36
_BOUNCE_C = np.array([1.0, 0.86, 0.76]) * 0.15
# Light wraps around skin, most in red: a cheap stand-in for scattering below the surface.
_WRAP_C = np.array([0.34, 0.21, 0.17])


@jit
def _dot(a: Floats, b: Floats) -> float:
    return float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


@jit
def _normalise(a: Floats) -> None:
    a /= np.sqrt(_dot(a, a)) + 1e-12


@jit
def _highlight(n: Floats, light: Floats, view: Floats, exponent: float) -> float:
    half = light + view
    _normalise(half)
    return float(max(_dot(n, half), 0.0) ** exponent)


@jit
def _catchlight(n: Floats, light: Floats, view: Floats) -> float:
    """A soft-edged window mirrored in the wet eye."""
    mirrored = 2 * _dot(n, view) * n - view
    t = min(max((_dot(mirrored, light) - 0.945) / 0.03, 0.0), 1.0)
    return t * t * (3 - 2 * t)


@jit
def _bump(n: Floats, p: Floats, f: float, amount: float) -> None:
    """Tilt normal ``n`` by relief of ``f`` waves a dm at rest place ``p``: pores, weave, folds."""
    e = 0.25
    here = noise(p[0] * f, p[1] * f, p[2] * f)
    n[0] -= amount * (noise(p[0] * f + e, p[1] * f, p[2] * f) - here)
    n[1] -= amount * (noise(p[0] * f, p[1] * f + e, p[2] * f) - here)
    n[2] -= amount * (noise(p[0] * f, p[1] * f, p[2] * f + e) - here)
    _normalise(n)


@jit
def shadow_at(p: Floats, origin: Floats, shadow_map: Floats, bias: float, spread: float) -> float:
    """Share of key light that reaches world place ``p``."""
    size = shadow_map.shape[0]
    r = p - origin
    scale = size / SHADOW_SPAN
    return lit(
        shadow_map,
        _dot(r, ACROSS) * scale + size / 2,
        -_dot(r, UP) * scale + size / 2,
        20 - _dot(r, KEY) - bias,
        spread,
    )


@jit
def _surface(
    n: Floats,
    view: Floats,
    albedo: Floats,
    shine: Floats,
    kind: int,
    lit_share: float,
    near: float,
    far: float,
    out: Floats,
) -> None:
    """Outgoing light of one pixel; ``near`` (screen) and ``far`` (baked) are openness in 0…1."""
    soft = kind != CLOTH_K and kind < HAIR_K
    key, sky = _dot(n, KEY), 0.5 + 0.5 * n[1]
    fill = max(_dot(n, FILL) * 0.6 + 0.4, 0.0)
    rim = max(_dot(n, RIM), 0.0) ** 1.5 * min(max(far * 1.6 - 0.6, 0.0), 1.0) * 0.45
    mouth = kind in (MOUTH_K, TEETH_K)
    openness = near * far
    for c in range(3):
        wrap = _WRAP_C[c] if soft else 0.10
        direct = max((key + wrap) / (1 + wrap), 0.0)
        # Thin shadows on skin let red through.
        through = (0.07 + 0.93 * lit_share) if soft and c == 0 else (0.04 + 0.96 * lit_share)
        if mouth:
            through = 0.30 + 0.55 * lit_share
        held = openness ** (0.85 if soft and c == 0 else 1.0)
        around = fill * _FILL_C[c] + sky * _SKY_C[c] + _BOUNCE_C[c] + rim
        out[c] = albedo[c] * (_KEY_C[c] * direct * through + around * held)
    grazing = 0.04 + 0.96 * (1 - max(_dot(n, view), 0.0)) ** 5
    if shine[1] < 0:
        glint = 0.95 * _catchlight(n, KEY, view) + 0.16 * _catchlight(n, FILL, view)
        out += glint * (0.35 + 0.65 * lit_share)
    elif kind != CLOTH_K:
        gloss = _highlight(n, KEY, view, shine[1]) * lit_share + 0.4 * _highlight(n, FILL, view, shine[1])
        out += shine[0] * gloss * (0.3 + 0.7 * openness) + 0.07 * grazing * openness


@jit
def light_surfaces(
    index: Ints, bary: Floats, faces: Ints, world: Floats, normals: Floats, rest: Floats, openness: Floats, screen: Floats,
    kind: Ints, colour: Floats, gloss: Floats, eye: Floats, origin: Floats, shadow_map: Floats, out: Floats,
) -> None:  # fmt: skip
    """Light every painted pixel into ``out`` [H,W,3]; ``eye`` is the camera's place, ``openness`` [N] baked, ``screen`` [H,W]."""
    p, n, r = np.zeros(3), np.zeros(3), np.zeros(3)
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            t = index[row, column]
            if t < 0:
                continue
            p[:], n[:], r[:] = 0.0, 0.0, 0.0
            far = 0.0
            for corner in range(3):
                v, weight = faces[t, corner], bary[row, column, corner]
                p += weight * world[v]
                n += weight * normals[v]
                r += weight * rest[v]
                far += weight * openness[v]
            view = eye - p
            _normalise(view)
            _normalise(n)
            if _dot(n, view) < 0:
                n *= -1
            k = kind[row, column]
            if gloss[row, column, 1] > 0 and k != TEETH_K:
                if k == CLOTH_K:
                    _bump(n, r, 6.0, 0.5)
                    _bump(n, r, 62.0, 0.16)
                else:
                    _bump(n, r, 62.0, 0.10)
            if k in (MOUTH_K, TEETH_K):
                far = max(far, 0.60 if k == TEETH_K else 0.42)
            share = shadow_at(p + 0.05 * n, origin, shadow_map, 0.05, 1.3)
            _surface(
                n, view, colour[row, column], gloss[row, column], k, share, screen[row, column], far, out[row, column]
            )


@jit
def _strand_lobes(tangent: Floats, light: Floats, view: Floats, tilt: float) -> tuple[float, float, float]:
    """Kajiya-Kay: diffuse, narrow white lobe, broad coloured lobe."""
    along = _dot(tangent, light)
    half = light + view
    _normalise(half)
    h = _dot(tangent, half)
    narrow, broad = h - 0.10 + tilt, h + 0.13 + tilt
    diffuse = np.sqrt(max(1 - along * along, 0.0))
    return diffuse, max(1 - narrow * narrow, 0.0) ** 60, max(1 - broad * broad, 0.0) ** 14


@jit
def light_strands(
    index: Ints, along: Floats, strands: Floats, tint: Floats, depth_tone: Floats, body: Floats, colour: Floats, screen: Floats,
    eye: Floats, origin: Floats, shadow_map: Floats, volume: float, out: Floats,
) -> None:  # fmt: skip
    """Light visible strands [S,K,3] into ``out``; ``tint`` [S] varies the colour, ``depth_tone`` [S] darkens inner layers.

    ``body`` [S,3] is the direction away from the head at each root: with weight ``volume`` it shades hair as one rounded mass.
    """
    last = strands.shape[1] - 2
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            s = index[row, column]
            if s < 0:
                continue
            k = min(int(along[row, column]), last)
            f = along[row, column] - k
            tangent = strands[s, k + 1] - strands[s, k]
            p = strands[s, k] + tangent * f
            _normalise(tangent)
            view = eye - p
            _normalise(view)
            share = shadow_at(p, origin, shadow_map, 0.16, 2.2)
            mass = 1 - volume + volume * max(_dot(body[s], KEY) * 0.6 + 0.4, 0.0)
            d, narrow, broad = _strand_lobes(tangent, KEY, view, 0.06 * tint[s])
            df, nf, bf = _strand_lobes(tangent, FILL, view, 0.06 * tint[s])
            dr, nr, br = _strand_lobes(tangent, RIM, view, 0.0)
            held = (0.35 + 0.65 * screen[row, column]) * depth_tone[s]
            key = (0.12 + 0.88 * share) * mass
            for c in range(3):
                base = colour[c] * (1 + 0.22 * tint[s]) * (0.80 + 0.40 * along[row, column] / (last + 1))
                lobes = (
                    base * (1.25 * broad * key + 0.35 * bf + 0.5 * br) + 0.045 * narrow * key + 0.012 * nf + 0.03 * nr
                )
                diffuse = base * (_KEY_C[c] * d * key * 1.05 + _FILL_C[c] * df * 0.8 + 0.35 * _SKY_C[c] + 0.10)
                out[row, column, c] = (diffuse + lobes) * held
