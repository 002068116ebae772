"""ARKit's 52 face coefficients by MediaPipe's face landmarker, one row a frame.

The model file is ``face_landmarker.task`` (``bench weights fetch face-landmarker``, Apache-2.0); it runs in video mode, so
it follows the face from frame to frame. Its rows have no ``tongueOut``: that column is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.landmarks import silent_stderr

Array = NDArray[np.float32]
NAMES = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""Columns, in the order of the embedded subjects' ``truth.npz``; left and right are the subject's."""
_COLUMN = {name: k for k, name in enumerate(NAMES)}


def column(table: NDArray[np.floating[Any]], *names: str) -> Array:
    """[T] mean of the named columns of a [T,52] table."""
    return np.asarray(table[:, [_COLUMN[name] for name in names]].mean(1), np.float32)


def both(table: NDArray[np.floating[Any]], name: str) -> Array:
    """[T] mean of a name's left and right columns."""
    return column(table, f"{name}Left", f"{name}Right")


def detect(model: Path, pictures: Iterable[NDArray[np.uint8]], fps: float = 25) -> tuple[Array, NDArray[np.bool_]]:
    """([T,52] in 0 … 1, [T] whether a face was found; rows without one are NaN) of RGB frames in order.

    Raises:
        DataError: ``model`` is not a face landmarker with blendshapes.
    """
    import mediapipe
    from mediapipe.tasks import python as tasks

    vision = tasks.vision
    options = vision.FaceLandmarkerOptions(
        tasks.BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO,
        output_face_blendshapes=True,
    )
    rows = []
    try:
        with silent_stderr():
            landmarker = vision.FaceLandmarker.create_from_options(options)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{model}: not a face landmarker ({str(error).splitlines()[0]}); fetch it again") from error
    with landmarker:
        for i, picture in enumerate(pictures):
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, square(picture))
            faces = landmarker.detect_for_video(image, round(i * 1000 / fps)).face_blendshapes
            rows.append(_row({c.category_name: c.score for c in faces[0]}) if faces else np.full(len(NAMES), np.nan))
    table = np.asarray(rows, np.float32).reshape(-1, len(NAMES))
    return table, np.isfinite(table).all(1)


def _row(scores: dict[str, float]) -> list[float]:
    return [scores.get(name, 0.0) for name in NAMES]


def square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Padded on the right and below: MediaPipe's projection of a tilted face is exact for square pictures only."""
    height, width = picture.shape[:2]
    side = max(height, width)
    return np.ascontiguousarray(np.pad(picture, ((0, side - height), (0, side - width), (0, 0))))
