"""A method that works; whoever imports it is written down in the file ``$S_IMPORTS``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract import Conditioning, MethodInfo, TrainTask

if log := os.environ.get("S_IMPORTS"):
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()}\n")


class Grey:
    """Grey frames."""

    def __init__(self, name: str) -> None:
        self.info = MethodInfo(name=name, title=name, summary="for tests", kind="reference", sees=frozenset())

    def train(self, task: TrainTask) -> None:
        task.progress.stage("only", 1)
        task.progress.step(1)

    def load(self, checkpoint: Path, device: str) -> Any:
        return self

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        for item in conditioning:
            yield np.full((item.size[1], item.size[0], 3), 128, np.uint8)
