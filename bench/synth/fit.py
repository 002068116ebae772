"""Makes ``anchors.npz``: mediapipe's 478 face points on plain frontal renders, stored as mesh anchors.

Run once (``python -m bench.synth.fit``); the result is committed, so making a subject needs no detector. The lips are fitted on
an open mouth: on a closed one the inner contours of both lips fall on the same pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from . import mesh
from .assets import Floats, Ints
from .head import UNITS, Head, head_unit
from .identity import NAMED

_UPPER = [185, 40, 39, 37, 0, 267, 269, 270, 409, 191, 80, 81, 82, 13, 312, 311, 310, 415]
_LOWER = [146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324]


def fit(head: Head) -> tuple[Ints, Floats]:
    """Triangles [478] and weights [478,3] under mediapipe's points on clay-like frontal views of ``head``."""
    skin = head.part == mesh.SKIN
    triangle, weight = _anchors(head, 0.0, skin, list(range(478)))
    dropped = head.unit_moves[head_unit("jawOpen"), :, 1][head.body_faces].mean(axis=1)
    falls = np.pad(dropped < 0.45 * dropped.min(), (0, len(head.faces) - len(dropped)))
    near = _outside_mouth(head)
    for lip, part in ((_UPPER, near & ~falls), (_LOWER, near & falls)):
        triangle[lip], weight[lip] = _anchors(head, 0.5, part, lip)
    return triangle, weight


def _outside_mouth(head: Head) -> NDArray[np.bool_]:
    """Skin triangles [M] that the closed mouth shows."""
    out = np.zeros(len(head.faces), bool)
    out[np.unique(head.front[1])] = True
    out &= head.part == mesh.SKIN
    return out


def _anchors(head: Head, jaw: float, allowed: NDArray[np.bool_], marks: list[int]) -> tuple[Ints, Floats]:
    """Anchors of ``marks`` found with the jaw open by ``jaw``, on ``allowed`` [M] triangles."""
    import mediapipe

    coefficients = np.zeros(len(UNITS))
    coefficients[head_unit("jawOpen")] = jaw
    _, index, bary = head.view(head.shape(coefficients))
    picture = _clay(head, index, bary)
    finder = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, refine_landmarks=True, min_detection_confidence=0.2
    )
    found = finder.process(picture).multi_face_landmarks
    points = np.array([(p.x, p.y) for p in found[0].landmark])[marks] * index.shape[0]
    rows, columns = np.nonzero((index >= 0) & allowed[index] & (index < len(head.body_faces)))
    nearest = cKDTree(np.stack([columns, rows], axis=1) + 0.5).query(points)[1]
    at = rows[nearest], columns[nearest]
    return index[at], bary[at]


def _clay(head: Head, index: Ints, bary: Floats) -> NDArray[np.uint8]:
    """A plain shaded picture: skin, white eyes, dark mouth."""
    normal = mesh.normals(head.rest, head.faces)
    seen = index >= 0
    shade = np.einsum("pkc,pk->pc", normal[head.faces[index[seen]]], bary[seen]) @ np.array([0.25, 0.45, 0.85])
    tones = np.array([[224, 178, 155], [235, 235, 235], [230, 225, 215], [120, 60, 60], [90, 110, 130]])
    picture = np.full((*index.shape, 3), 150, np.uint8)
    picture[seen] = np.clip(tones[head.part[index[seen]]] * np.clip(0.25 + 0.75 * shade, 0, 1)[:, None], 0, 255)
    return picture


if __name__ == "__main__":
    triangle, weight = fit(Head(NAMED["ada"]))
    np.savez_compressed(
        Path(__file__).with_name("anchors.npz"), triangle=triangle.astype(np.int32), weight=weight.astype(np.float32)
    )
