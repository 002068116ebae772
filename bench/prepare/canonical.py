"""The canonical face: MediaPipe's 468 mesh points of an average head, in the field's head frame.

``canonical_face.npz`` holds the vertices of ``geometry_pipeline_metadata_landmarks.binarypb`` (MediaPipe, Apache-2.0, inside
``face_landmarker.task``) in their own centimetres; the wheel of mediapipe 0.10.21 doesn't carry them.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SCALE = 0.0087
"""Canonical centimetres to the field's unit: what AD-NeRF's tracking of the Obama sample says (0.00874)."""
_PITCH = -0.109
"""Radians about x. AD-NeRF's tracking of the Obama sample has the canonical face turned by this much."""
_ORIGIN = (0.0, 0.001, -0.014)

TRACKED = (
    1, 4, 5, 6, 9, 10, 151, 168, 195, 197,  # midline: nose and forehead
    33, 263, 133, 362, 193, 417,  # corners of the eyes, beside the bridge
    35, 265, 47, 277, 229, 449, 50, 280, 101, 330, 116, 345, 123, 352, 203, 423,  # below the eyes, cheekbones
    99, 328, 131, 360,  # wings of the nose
    67, 297, 68, 298, 69, 299, 71, 301, 103, 332, 104, 333, 108, 337, 109, 338,  # forehead, temples
)  # fmt: skip
"""52 points, spread wide, that keep their place on the skull best: triangulated through exact cameras (ada, ben) and AD-NeRF's
(Obama), each is seen within 1.6 % of the eyes' distance (rms). Lids, brows, mouth, jaw and the silhouette are left out."""


@cache
def face() -> Array:
    """[468,3] in the field's head frame, about metres: x to the picture's right, y up, z out of the face; read-only.

    Origin and tilt are those of AD-NeRF's tracker: the origin lies behind the nose, the face within ±0.09.
    """
    with (files("bench.prepare") / "canonical_face.npz").open("rb") as stream, np.load(stream) as stored:
        points = stored["vertices"].astype(np.float64)
    cos, sin = np.cos(_PITCH), np.sin(_PITCH)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    placed = _SCALE * points @ turn.T + _ORIGIN
    placed.flags.writeable = False
    return placed
