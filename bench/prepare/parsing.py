"""Step *parsing*: a face parser's raw answer for every frame (``.prepare/raw/<id>.png``).

Which parser: ``--parser`` auto (the best that is here), mesh (the offline one) or a model file; see
:mod:`bench.prepare.parsers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import classes
from bench.paths import atomic_file
from bench.prepare import contours, mesh, parsers
from bench.prepare.steps import Job, Made, Options, Step
from bench.prepare.workers import each

Labels = NDArray[np.uint8]
RAW = ".prepare/raw"
NOWHERE = np.zeros((0, 2), np.float32)
"""The mesh given to a parser that doesn't look at it."""
SAMPLES = 16
"""Training frames from which the offline parser learns the clip's colours."""


def load(job: Job, frame_id: int) -> Labels:
    """[H,W] raw classes of a frame."""
    return classes.load(job.root / RAW / f"{frame_id}.png")


def _samples(job: Job, points: mesh.Mesh) -> Iterator[parsers.Sample]:
    for i in np.unique(np.linspace(0, job.train - 1, SAMPLES).astype(int)):
        with Image.open(job.image(int(i))) as picture:
            yield picture.convert("RGB"), points[i]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def run(job: Job) -> Made:
    """Parse every frame that has no answer yet."""
    choice = parsers.choose(job.options.parser)
    points = mesh.load(job) if _reads_mesh(job.options) else None
    parser = parsers.load(choice, _samples(job, points) if points is not None else [], _device())

    def parse(i: int) -> None:
        path = job.root / RAW / f"{i}.png"
        if not path.exists():
            with Image.open(job.image(i)) as picture, atomic_file(path, flush=False) as temporary:
                classes.save(
                    temporary, parser(picture.convert("RGB"), points[i] if points is not None else NOWHERE), small=False
                )

    for _ in job.track(each(parse, range(job.frames)), "parsing", job.frames):
        pass
    facts = {"parser": choice.name, "parser_licence": choice.licence}
    return Made(f"{job.frames} frames: {choice.name}", {}, facts)


def _reads_mesh(options: Options) -> bool:
    """A network looks at the picture alone, so that it can begin beside the mesh."""
    return parsers.choose(options.parser).kind == "mesh"


def _inputs(options: Options) -> dict[str, object]:
    choice = parsers.choose(options.parser)
    code = {path.name: path for path in (*choice.code, Path(contours.__file__))}
    return {"parser": choice.model, "hair": choice.hair, **code}


STEP = Step(
    "parsing",
    run,
    (f"{RAW}/*.png",),
    needs=("frames",),
    sometimes=lambda options: ("mesh",) * _reads_mesh(options),
    inputs=_inputs,
)
