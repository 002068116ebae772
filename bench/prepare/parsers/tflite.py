"""A 19-class parser as ``.tflite``, run by LiteRT: RGB in (x−128)/128, class ids out.

Made for BiSeNet V2, int8, 448×448, trained on CelebAMask-HQ (PINTO model zoo 057).
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from PIL import Image

from bench import classes
from bench.errors import AbsentError, DataError
from bench.landmarks import silent_stderr
from bench.prepare.contours import Points
from bench.prepare.parsers import Choice, Labels, resized
from bench.prepare.parsers.tail import enlarged, trimmed


def interpreter(path: Path, threads: int | None = None, content: bytes | None = None) -> Any:
    """A loaded model, run by so many threads (None: as many as there are cores).

    :param content: what to load instead of the file's own

    Raises:
        AbsentError: LiteRT is not installed.
        DataError: the file is no model.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise AbsentError(
            f"{path.name} needs ai-edge-litert ({error}): pip install 'talkbench[parser]', or --parser mesh"
        ) from error
    try:
        with silent_stderr():
            model = Interpreter(
                None if content else str(path), model_content=content, num_threads=threads or os.cpu_count()
            )
            model.allocate_tensors()
    except (ValueError, RuntimeError, OSError) as error:
        raise DataError(f"{path}: not a .tflite model ({str(error).splitlines()[0]}); download it again") from error
    return model


class TfliteParser:
    """A loaded parser.

    Raises:
        AbsentError: LiteRT is not installed.
        DataError: the file is no such model.
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self._path = path = choice.file
        self._own = local()  # a model for each thread that parses: as many frames at once as there are cores
        self._trimmed = None
        model = self._model()  # the whole one: it says whether the file is a model at all
        entry = model.get_input_details()[0]
        self.side = int(entry["shape"][1])
        if list(entry["shape"]) != [1, self.side, self.side, 3] or entry["dtype"] is not np.float32:
            raise DataError(f"{path}: input {list(entry['shape'])}, expected float32 [1, S, S, 3]; see docs/prepare.md")
        self._trimmed = trimmed(path.read_bytes())
        del self._own.model

    def _model(self) -> Any:
        if not hasattr(self._own, "model"):
            self._own.model = interpreter(self._path, 1, self._trimmed.model if self._trimmed else None)
        return self._own.model

    def __call__(self, picture: Image.Image, points: Points) -> Labels:
        """See :class:`bench.prepare.parsers.FaceParser`; the mesh is not looked at."""
        little = picture.convert("RGB").resize((self.side, self.side), Image.Resampling.BICUBIC)
        model = self._model()
        model.set_tensor(model.get_input_details()[0]["index"], ((np.asarray(little, np.float32) - 128) / 128)[None])
        model.invoke()
        answer = np.squeeze(model.get_tensor(model.get_output_details()[0]["index"]))
        if self._trimmed and answer.ndim == 3 and answer.shape[2] == classes.CLASSES:
            return enlarged(answer, self.side, picture.size, self._trimmed.centred)
        ids = answer
        if ids.shape != (self.side, self.side) or ids.min() < 0 or ids.max() >= classes.CLASSES:
            raise DataError(f"{self._path}: output {ids.shape}, expected class ids 0–18 per pixel; see docs/prepare.md")
        return resized(ids.astype(np.uint8), picture.size)
