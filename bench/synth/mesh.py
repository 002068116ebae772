"""The head-and-shoulders mesh: one fixed topology for every identity, one Catmull-Clark level as a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from . import assets
from .assets import Floats, Ints

SKIN, EYE, TEETH, TONGUE, CLOTH = range(5)
_GROUPS = {
    "body": SKIN,
    "helper-l-eye": EYE,
    "helper-r-eye": EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": TONGUE,
}
_REACH_DOWN = 2.1  # dm kept below the lowest head vertex: past the lower edge of every picture
_REACH_SIDE = 2.6  # dm kept to each side: past the picture's sides


@dataclass(frozen=True, eq=False)
class Topology:
    """What every identity shares; anchors made on one head fit all others.

    ``used`` [U] are the base vertices kept, ``subdivide`` [N,U] maps them to the N fine vertices, ``faces`` [M,3] are fine
    triangles, ``part`` [M] their material (SKIN, EYE, TEETH, TONGUE), ``follow`` [N] the share of the head's rotation.
    """

    used: Ints
    subdivide: sp.csr_matrix
    faces: Ints
    part: Ints
    follow: Floats

    def fine(self, base: Floats) -> Floats:
        """Fine values [N,…] of base-mesh values [V,…]."""
        return np.asarray(self.subdivide @ base[self.used])


@lru_cache(maxsize=1)
def topology() -> Topology:
    """Cut the head and shoulders out of the base mesh and subdivide once."""
    vertices, quads, groups = assets.base_mesh()
    follow = assets.head_weight()
    centre = vertices[quads].mean(axis=1)
    floor = vertices[follow > 0.9][:, 1].min() - _REACH_DOWN
    keep = np.isin(groups, list(_GROUPS)) & (centre[:, 1] > floor) & (np.abs(centre[:, 0]) < _REACH_SIDE)
    used, compact = np.unique(quads[keep], return_inverse=True)
    matrix, fine = catmull_clark(len(used), compact.reshape(-1, 4))
    part = np.repeat([_GROUPS[str(group)] for group in groups[keep]], 4)
    faces = np.concatenate([fine[:, [0, 1, 2]], fine[:, [0, 2, 3]]])
    return Topology(used, matrix, faces, np.concatenate([part, part]), matrix @ follow[used])


def catmull_clark(count: int, quads: Ints) -> tuple[sp.csr_matrix, Ints]:
    """One subdivision of ``quads`` [Q,4] over ``count`` vertices: the matrix [N,count] and the fine quads [4Q,4].

    Fine vertices are ordered: old vertices, edge points, face points. Border edges keep their own midpoint rule.
    """
    faces = len(quads)
    pairs = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, edge_of, uses = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    edge_of = edge_of.reshape(faces, 4)
    owner = np.repeat(np.arange(faces), 4)
    face_point = _scatter(owner, quads.ravel(), 0.25, (faces, count))
    middle = _scatter(np.repeat(np.arange(len(edges)), 2), edges.ravel(), 0.5, (len(edges), count))
    beside = _scatter(edge_of.ravel(), owner, 1.0, (len(edges), faces))
    inner = (uses == 2).astype(float)
    edge_point = sp.diags(inner) @ (0.5 * middle + 0.25 * beside @ face_point) + sp.diags(1 - inner) @ middle
    vertex_point = _vertex_rule(count, quads, edges, uses, face_point, middle)
    ring = count + edge_of
    face_id = np.repeat(count + len(edges) + np.arange(faces), 4).reshape(faces, 4)
    fine = np.stack([quads, ring, face_id, np.roll(ring, 1, axis=1)], axis=-1).reshape(-1, 4)
    return sp.vstack([vertex_point, edge_point, face_point]).tocsr(), fine


def _vertex_rule(
    count: int, quads: Ints, edges: Ints, uses: Ints, face_point: sp.csr_matrix, middle: sp.csr_matrix
) -> sp.csr_matrix:
    """Matrix [count,count] that moves the old vertices: the smooth rule inside, the cubic spline rule on borders."""
    touch_face = _scatter(quads.ravel(), np.repeat(np.arange(len(quads)), 4), 1.0, (count, len(quads)))
    touch_edge = _scatter(edges.ravel(), np.repeat(np.arange(len(edges)), 2), 1.0, (count, len(edges)))
    valence = np.maximum(np.asarray(touch_edge.sum(axis=1)).ravel(), 1)
    around = np.maximum(np.asarray(touch_face.sum(axis=1)).ravel(), 1)
    smooth = sp.diags(1 / valence / around) @ touch_face @ face_point
    smooth = smooth + sp.diags(2 / valence**2) @ touch_edge @ middle + sp.diags((valence - 3) / valence)
    border = (uses != 2).astype(float)
    touched = np.asarray((touch_edge @ sp.diags(border)).sum(axis=1)).ravel()
    spline = sp.diags(0.5 / np.maximum(touched, 1)) @ touch_edge @ sp.diags(border) @ middle
    spline = spline + sp.diags(np.where(touched > 0, 0.5, 1.0))
    on_border = (touched > 0).astype(float)
    return sp.diags(1 - on_border) @ smooth + sp.diags(on_border) @ spline


def _scatter(rows: Ints, columns: Ints, value: float, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((np.full(len(rows), value), (rows, columns)), shape=shape)


def normals(points: Floats, faces: Ints) -> Floats:
    """Area-weighted unit normals [N,3] of ``points`` [N,3]."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    out = np.empty_like(points)
    for axis in range(3):
        weights = np.tile(face[:, axis], 3)
        out[:, axis] = np.bincount(faces.T.ravel(), weights=weights, minlength=len(points))
    return np.asarray(out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12))


def at(points: Floats, faces: Ints, triangle: Ints, weight: Floats) -> Floats:
    """Points [K,C] of values [N,C] at anchors: ``triangle`` [K] and barycentric ``weight`` [K,3]."""
    return np.asarray(np.einsum("kic,ki->kc", points[faces[triangle]], weight))
