"""How a method's float frames become 8 bits: by the protocol's rule, in one place."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["u8-round", "u8-floor"]


def quantised(frame: NDArray[Any], rule: Rule) -> NDArray[np.uint8]:
    """A frame [H,W,3] as uint8: float values in 0…1 are clipped, scaled, and rounded or cut off; uint8 stays as it is.

    The field's scripts cut off (``(x * 255).astype(uint8)``), which darkens a picture by half a level on average.

    >>> quantised(np.array([[[0.999, 1.5, -0.1]]], np.float32), "u8-round").tolist()
    [[[255, 255, 0]]]
    >>> quantised(np.array([[[0.999, 1.5, -0.1]]], np.float32), "u8-floor").tolist()
    [[[254, 255, 0]]]
    """
    if frame.dtype == np.uint8:
        return frame
    scaled = np.clip(frame, 0, 1) * np.float32(255)
    return (np.rint(scaled) if rule == "u8-round" else scaled).astype(np.uint8)
