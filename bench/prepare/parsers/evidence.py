"""Segmentation models that help the offline parser: how likely hair, skin and cloth are at each pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.errors import DataError
from bench.landmarks import silent_stderr
from bench.prepare.parsers.tflite import interpreter

Array = NDArray[np.float32]
_DOUBT = 0.03
"""No model is believed beyond 1 minus this."""


class Evidence(Protocol):
    """A model."""

    name: str

    def __call__(self, picture: Image.Image, size: tuple[int, int]) -> Array:
        """[3,H,W] weights of hair, skin, cloth at (width, height), each in 0 … 1 and none of them 0."""


def load(path: Path) -> Evidence:
    """The model of a file: selfie multiclass by its name, else MediaPipe's hair segmentation."""
    return SelfieMulticlass(path) if "multiclass" in path.name else HairSegmenter(path)


class HairSegmenter:
    """MediaPipe hair segmentation, 512×512, RGB/255 and the mask before (always empty here): hair or not.

    Raises:
        AbsentError, DataError: as :func:`bench.prepare.parsers.tflite.interpreter`; or the model takes other pictures.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._model = interpreter(path)
        entry, answer = self._model.get_input_details()[0], self._model.get_output_details()[0]
        self._side = int(entry["shape"][1])
        if list(entry["shape"]) != [1, self._side, self._side, 4] or answer["shape"][-1] != 2:
            raise DataError(f"{path}: not MediaPipe's hair segmentation (input {list(entry['shape'])})")
        self._in, self._out = entry["index"], answer["index"]

    def hair(self, picture: Image.Image) -> Array:
        """[S,S] probability of hair."""
        pixels = np.zeros((1, self._side, self._side, 4), np.float32)
        little = picture.convert("RGB").resize((self._side, self._side), Image.Resampling.BILINEAR)
        pixels[0, ..., :3] = np.asarray(little, np.float32) / 255
        self._model.set_tensor(self._in, pixels)
        self._model.invoke()
        scores = self._model.get_tensor(self._out)[0]
        return 1 / (1 + np.exp((scores[..., 0] - scores[..., 1]).clip(-30, 30)))

    def __call__(self, picture: Image.Image, size: tuple[int, int]) -> Array:
        """See :class:`Evidence`."""
        hair = _sized(self.hair(picture), size)
        return np.stack([hair, 1 - hair, 1 - hair])


class SelfieMulticlass:
    """MediaPipe's selfie multiclass segmenter: background, hair, body skin, face skin, clothes, others.

    Never run with the real model by us: it could not be had where this was written.

    Raises:
        DataError: the file is no such model.
    """

    _HAIR, _SKIN, _CLOTH = (1,), (2, 3), (4, 5)

    def __init__(self, path: Path) -> None:
        from mediapipe.tasks import python as tasks

        self.name = path.name
        options = tasks.vision.ImageSegmenterOptions(
            tasks.BaseOptions(model_asset_path=str(path)), output_confidence_masks=True, output_category_mask=False
        )
        try:
            with silent_stderr():
                self._model: Any = tasks.vision.ImageSegmenter.create_from_options(options)
        except (ValueError, RuntimeError) as error:
            raise DataError(f"{path}: not a segmentation model ({str(error).splitlines()[0]})") from error

    def __call__(self, picture: Image.Image, size: tuple[int, int]) -> Array:
        """See :class:`Evidence`."""
        import mediapipe

        image = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.asarray(picture.convert("RGB")))
        masks = [mask.numpy_view() for mask in self._model.segment(image).confidence_masks]
        if len(masks) != 6:
            raise DataError(f"{self.name}: {len(masks)} classes, expected selfie multiclass's 6")
        groups = (self._HAIR, self._SKIN, self._CLOTH)
        return np.stack([_sized(sum(np.squeeze(masks[k]) for k in group), size) for group in groups])


def _sized(probability: NDArray[np.floating[Any]], size: tuple[int, int]) -> Array:
    picture = Image.fromarray(probability.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture).clip(_DOUBT, 1 - _DOUBT)
