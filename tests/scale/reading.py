"""Reads a subject as a training does, and nothing else: ``python reading.py FOLDER FRAME_BYTES CANVAS_BYTES EPOCHS HEAD_START``.

Prints as JSON the largest resident set in bytes before the first frame and at the end, and the bytes read. A process of
its own, so that the peak is this reading's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from bench.run.device import peak_memory
from bench.subject import Subject
from methods.deformable import data as module
from methods.deformable.data import TrainingData
from methods.deformable.design import QUICK
from methods.deformable.face import FaceStage
from methods.deformable.fields import FaceField, MouthField
from methods.deformable.mouth import MouthStage
from methods.deformable.sampling import Sampler
from methods.degstalk.plugin import Degstalk


def epoch(data: TrainingData, epochs: float, half: bool, canvas: bool, seed: int) -> int:
    """Read so many epochs in random order, each frame announced one step ahead as a stage does; returns the bytes."""
    sampler = Sampler(len(data.ids), torch.Generator().manual_seed(seed))
    count, total, upcoming = round(epochs * len(data.ids)), 0, data.ids[sampler.next()]
    for step in range(count):
        frame_id, upcoming = upcoming, data.ids[sampler.next()]
        if step + 1 < count:
            data.fetch(upcoming, half, canvas)
        sample = data.sample(frame_id, half)
        total += sample.image.nbytes
        if canvas:
            total += data.canvas(frame_id).numel()
    return total


def read(root: Path, epochs: float, head_start: bool) -> dict[str, int]:
    """All stages' reading; with ``head_start`` also a short preset's, before each branch: all drivers, a visual hull."""
    design, subject = Degstalk.design, Subject(root)
    data = TrainingData(subject.for_training(), design, "cpu")
    _ = data.extent, data.blink, data.lips_part, data.mouth_height, data.has_mouth
    before = peak_memory("cpu")
    if head_start:
        MouthStage(data, QUICK.mouth, MouthField(design, data.audio_channels), None, 0)
    total = epoch(data, epochs, half=False, canvas=False, seed=0)
    if head_start:
        FaceStage(data, QUICK.face, FaceField(design, data.audio_channels, data.expression_width), None, 0)
    total += epoch(data, epochs, half=True, canvas=False, seed=1)
    total += epoch(data, epochs, half=False, canvas=True, seed=2)
    return {"before": before, "peak": peak_memory("cpu"), "read": total, "frames": len(data.ids)}


if __name__ == "__main__":
    module._FRAME_BYTES, module._CANVAS_BYTES = int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(read(Path(sys.argv[1]), float(sys.argv[4]), sys.argv[5] == "yes")))
