"""The 68 iBUG landmarks as mesh anchors, so that they are exact in every frame."""

from __future__ import annotations

import numpy as np

from .assets import Floats
from .facemap import brow_arcs
from .head import Anchors, Head, Pose

# iBUG order → mediapipe's 478 points; the brows (17–26) come from the drawn brows instead.
_FROM_478 = [
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356, 70, 63, 105, 66, 107, 336, 296, 334, 293,
    300, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61, 39, 37, 0, 267,
    269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
]  # fmt: skip
_BROWS = slice(17, 27)


class Landmarks:
    """Anchors of one head's landmarks."""

    def __init__(self, head: Head) -> None:
        self.head = head
        right, left = brow_arcs(head)
        brows = head.on_face(np.concatenate([right[::-1], left]))
        triangle, weight = head.marks.triangle[_FROM_478], head.marks.weight[_FROM_478]
        triangle[_BROWS], weight[_BROWS] = brows.triangle, brows.weight
        self.anchors = Anchors(triangle, weight)

    def rest(self, coefficients: Floats) -> Floats:
        """Places [68,3] in the head's rest frame, dm."""
        return self.anchors.on(self.head.shape(coefficients), self.head.faces)

    def world(self, coefficients: Floats, pose: Pose) -> Floats:
        """Places [68,3] in the room, dm."""
        head = self.head
        placed = head.place(head.shape(coefficients), head.follow, pose.table())
        return self.anchors.on(placed, head.faces)

    def in_head(self, coefficients: Floats, pose: Pose) -> Floats:
        """Places [68,3] in the head's frame, metres; those on the jaw's edge trail the head a little, as skin does."""
        head, table = self.head, pose.table()[-1]
        unmoved = (self.world(coefficients, pose) - head.pivot - table[:, 3]) @ table[:, :3] + head.pivot
        return np.asarray(0.1 * (unmoved - head.centre))

    def lip_gap(self, coefficients: Floats) -> float:
        """Mean opening between the inner lips (landmarks 61–63 against 67–65), dm."""
        points = self.rest(coefficients)
        return float(np.linalg.norm(points[[61, 62, 63]] - points[[67, 66, 65]], axis=1).mean())
