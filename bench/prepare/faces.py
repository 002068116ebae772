"""Faces in pictures a fifth of a second apart, and which of them are one person's.

Detector: BlazeFace, short range and full range, as the ``mediapipe`` 0.10.21 wheel carries them (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.landmarks import silent_stderr
from bench.prepare.crop import Boxes

_SURE = 0.5
_SAME = 0.3
"""Boxes whose overlap over union is more are one face."""
_REACH = 0.75
"""How far a face may go from one look to the next, in its width."""


class Finder:
    """Both detectors, to be used as a context."""

    def __init__(self) -> None:
        from mediapipe.python.solutions.face_detection import FaceDetection

        with silent_stderr():
            self._models: list[Any] = [FaceDetection(_SURE, model) for model in (0, 1)]
            for model in self._models:  # they chatter at the first picture
                model.process(np.zeros((64, 64, 3), np.uint8))

    def __enter__(self) -> Finder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for model in self._models:
            model.close()

    def __call__(self, picture: NDArray[np.uint8]) -> Boxes:
        """[K,4] faces (brows to chin) of an RGB picture, in shares of its width and height."""
        found: list[list[float]] = []
        for model in self._models:
            for face in model.process(picture).detections or ():
                box = face.location_data.relative_bounding_box
                one = [box.xmin, box.ymin, box.width, box.height]
                if all(overlap(one, other) <= _SAME for other in found):
                    found.append(one)
        return np.array(found, np.float64).reshape(-1, 4)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes; 1 where one lies almost wholly in the other (a face in a face)."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both, areas = max(across, 0.0) * max(down, 0.0), (a[2] * a[3], b[2] * b[3])
    return 1.0 if both > 0.8 * min(areas) else both / (sum(areas) - both)


@dataclass(eq=False)
class Trail:
    """One face over time."""

    boxes: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    """Number of the look → box."""

    @property
    def last(self) -> int:
        """The look at which it was seen last."""
        return next(reversed(self.boxes))

    @property
    def width(self) -> float:
        """Median width."""
        return float(np.median([box[2] for box in self.boxes.values()]))

    def near(self, box: NDArray[np.float64]) -> float:
        """Distance of a box from where it was last, in its widths; far if the size differs by half."""
        last = self.boxes[self.last]
        if not 0.5 < box[2] / last[2] < 2:
            return np.inf
        return float(np.hypot(*(box[:2] + box[2:] / 2 - last[:2] - last[2:] / 2)) / last[2])


def trails(looks: Sequence[Boxes]) -> list[Trail]:
    """The faces, the one that is largest for longest first. ``looks``: boxes [K,4] in pixels, look by look."""
    found: list[Trail] = []
    for look, boxes in enumerate(looks):
        free = [trail for trail in found if look not in trail.boxes]
        pairs = sorted(((trail.near(box), t, k) for t, trail in enumerate(free) for k, box in enumerate(boxes)))
        taken: set[int] = set()
        for distance, t, k in pairs:
            if distance <= _REACH and k not in taken and look not in free[t].boxes:
                free[t].boxes[look] = boxes[k]
                taken.add(k)
        found += [Trail({look: box}) for k, box in enumerate(boxes) if k not in taken]
    return sorted(found, key=lambda trail: -trail.width * len(trail.boxes))
