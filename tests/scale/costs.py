"""What reading a 512×512 frame costs: ``python tests/scale/costs.py [FRAMES]`` makes a subject and prints milliseconds of CPU time."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import big

from bench.catalogue import subject_hash
from bench.subject import Subject
from methods.deformable.data import TrainingData
from methods.deformable.sample import Packed
from methods.degstalk.plugin import Degstalk


def cost(name: str, call: Callable[[], object], times: int, frames: int = 1) -> None:
    """Print the median of ``times`` calls, for each of ``frames``."""
    taken = []
    for _ in range(times):
        begin = time.process_time()
        call()
        taken.append(time.process_time() - begin)
    print(f"{name:40}{1000 * median(taken) / frames:8.2f} ms a frame")


def main(frames: int) -> None:
    """Single frames, then what goes over all of them before the first step."""
    design = Degstalk.design
    with tempfile.TemporaryDirectory() as folder:
        root = big.make(Path(folder) / "big", frames)
        subject = Subject(root)
        frame = subject.frame(1)
        _ = frame.image, frame.labels, frame.teeth, frame.landmarks, subject.background, frame.audio, frame.expression
        for part in ("image", "labels", "teeth", "landmarks"):
            cost(part, lambda part=part: getattr(subject.frame(1), part), 15)
        cost("packed", lambda: Packed.read(frame, design, 1.0), 15)
        cost("packed at half size", lambda: Packed.read(frame, design, 0.5), 15)
        packed = Packed.read(frame, design, 1.0)
        cost("unpacked", lambda: packed.sample("cpu"), 15)
        for canvas in ("torso_canvas", "hair_canvas"):
            cost(canvas, lambda canvas=canvas: (frame.__dict__.pop(canvas, None), getattr(frame, canvas)), 15)
        cost("opening the subject", lambda: Subject(root), 1, frames)
        cost("hash of the folder", lambda: subject_hash(subject), 1, frames)
        data = TrainingData(subject.for_training(), design, "cpu")
        for table in ("extent", "blink", "lips_part", "mouth_height", "has_mouth"):
            cost(table, lambda table=table: getattr(data, table), 1, len(data.ids))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 700)
