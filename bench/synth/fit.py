"""Makes ``anchors.npz``: mediapipe's 478 face points on a plain frontal render, stored as mesh anchors.

Run once (``python -m bench.synth.fit``); the result is committed, so making a subject needs no detector.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from . import mesh
from .assets import Floats, Ints
from .head import Head
from .identity import NAMED


def fit(head: Head) -> tuple[Ints, Floats]:
    """Triangles [478] and weights [478,3] under mediapipe's points on a clay-like frontal view of ``head``."""
    import mediapipe

    _, index, bary = head.front
    normal = mesh.normals(head.rest, head.faces)
    seen = index >= 0
    shade = np.einsum("pkc,pk->pc", normal[head.faces[index[seen]]], bary[seen]) @ np.array([0.25, 0.45, 0.85])
    picture = np.full((*index.shape, 3), 150, np.uint8)
    eye = head.part[index[seen]] == mesh.EYE
    tone = np.where(eye[:, None], [235, 235, 235], [224, 178, 155])
    picture[seen] = np.clip(tone * np.clip(0.25 + 0.75 * shade, 0, 1)[:, None], 0, 255)
    finder = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, refine_landmarks=True, min_detection_confidence=0.2
    )
    found = finder.process(picture).multi_face_landmarks
    points = np.array([(p.x, p.y) for p in found[0].landmark]) * index.shape[0]
    rows, columns = np.nonzero(seen & (index < len(head.body_faces)))
    nearest = cKDTree(np.stack([columns, rows], axis=1) + 0.5).query(points)[1]
    at = rows[nearest], columns[nearest]
    return index[at], bary[at]


if __name__ == "__main__":
    triangle, weight = fit(Head(NAMED["ada"]))
    np.savez_compressed(
        Path(__file__).with_name("anchors.npz"), triangle=triangle.astype(np.int32), weight=weight.astype(np.float32)
    )
