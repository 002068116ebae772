"""Step *parsing*: the 19-class face parser's raw answer for every frame (``.prepare/raw/<id>.png``).

The model is a BiSeNet V2 trained on CelebAMask-HQ, int8, for the LiteRT interpreter: RGB in (x−128)/128, class ids out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import classes
from bench.errors import AbsentError, DataError
from bench.landmarks import silent_stderr
from bench.paths import atomic_file
from bench.prepare.steps import Job, Made, Options, Step

Labels = NDArray[np.uint8]
RAW = ".prepare/raw"


class Parser:
    """A loaded parser.

    Raises:
        AbsentError: LiteRT is not installed.
        DataError: the file is no such model.
    """

    def __init__(self, path: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise AbsentError(f"ai-edge-litert can't be imported ({error}); pip install 'talkbench[parser]'") from error
        try:
            with silent_stderr():
                self._model: Any = Interpreter(str(path), num_threads=2)
                self._model.allocate_tensors()
            (entry,), (answer,) = self._model.get_input_details(), self._model.get_output_details()
        except (ValueError, RuntimeError, OSError) as error:
            raise DataError(f"{path}: not a .tflite model ({str(error).splitlines()[0]}); download it again") from error
        self.side = int(entry["shape"][1])
        if list(entry["shape"]) != [1, self.side, self.side, 3] or entry["dtype"] is not np.float32:
            raise DataError(f"{path}: input {list(entry['shape'])}, expected float32 [1, S, S, 3]; see docs/prepare.md")
        self._path, self._in, self._out = path, entry["index"], answer["index"]

    def __call__(self, picture: Image.Image) -> Labels:
        """[H,W] CelebAMask-HQ classes of an RGB picture of any size."""
        small = np.asarray(picture.resize((self.side, self.side), Image.Resampling.BICUBIC), np.float32)
        self._model.set_tensor(self._in, ((small - 128) / 128)[None])
        self._model.invoke()
        ids = np.squeeze(self._model.get_tensor(self._out))
        if ids.shape != (self.side, self.side) or ids.min() < 0 or ids.max() >= classes.CLASSES:
            raise DataError(f"{self._path}: output {ids.shape}, expected class ids 0–18 per pixel; see docs/prepare.md")
        return resized(ids.astype(np.uint8), picture.size)


def resized(labels: Labels, size: tuple[int, int]) -> Labels:
    """Class map at (width, height): per pixel the class with the largest share, so that thin parts keep their form."""
    present = np.unique(labels)
    shares = [
        np.asarray(Image.fromarray((labels == k).astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
        for k in present
    ]
    return present[np.argmax(shares, axis=0)]


def load(job: Job, frame_id: int) -> Labels:
    """[H,W] raw classes of a frame."""
    return classes.load(job.root / RAW / f"{frame_id}.png")


def run(job: Job) -> Made:
    """Parse every frame that has no answer yet."""
    if job.options.parser is None:  # checked before the first step too; this is for the type checker
        raise DataError("no --parser")
    parser = Parser(job.options.parser)
    for i in job.track(range(job.frames), "parsing", job.frames):
        path = job.root / RAW / f"{i}.png"
        if not path.exists():
            with Image.open(job.image(i)) as picture, atomic_file(path) as temporary:
                classes.save(temporary, parser(picture.convert("RGB")))
    return Made(f"{job.frames} frames through {job.options.parser.name}")


def _inputs(options: Options) -> dict[str, object]:
    return {"parser": options.parser}


STEP = Step("parsing", run, (f"{RAW}/*.png",), needs=("frames",), inputs=_inputs)
