"""How fast ``bench data prepare`` is: seconds of each step, of all (steps run side by side), of the processor, and memory.

``python benchmarks/prepare.py`` prepares a film of the embedded subject *ada*, enlarged to 512×512, from the video alone;
``--video FILE`` takes another. The target is a quarter of real time on two cores: 4 s for each second of video. Where
others use the machine too, processor seconds over the number of cores say what an idle one would need at best.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bench import catalogue, system, video
from bench.prepare import Done, Options, prepare

TARGET = 4.0
"""Seconds of work a second of video."""


def film(folder: Path, frames: int, side: int) -> Path:
    """*ada* as a square video with her sound."""
    subject = catalogue.resolve("ada")
    ids = [i % len(subject.ids) for i in range(frames)]  # the end is joined to the start: no cut, the head is near rest
    pictures = (np.asarray(Image.fromarray(subject.frame(i).image).resize((side, side))) for i in ids)
    path = folder / "ada.mp4"
    video.write_preview(path, pictures, 25, subject.sound)
    return path


def _spent() -> float:
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def measure(options: Options) -> list[dict[str, float | str]]:
    """A row a step: name, seconds."""
    rows: list[dict[str, float | str]] = []

    def tell(done: Done) -> None:
        rows.append({"step": done.name, "seconds": done.seconds})
        print(f"{done.name:14s}{done.seconds:8.1f} s", flush=True)

    prepare(options, lambda items, what, total: items, tell)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, metavar="FILE", help="a video of a speaking head; default: ada")
    parser.add_argument("--frames", type=int, default=200, help="length of ada's film")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--parser", type=Path, default=Path("auto"), help="as for bench data prepare")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the result goes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = given.video or film(folder, given.frames, given.size)
        start, spent = time.perf_counter(), _spent()
        rows = measure(Options(clip, "measured", folder / "subject", parser=given.parser, size=given.size))
        seconds, processor = time.perf_counter() - start, _spent() - spent
        frames = json.loads((folder / "subject/subject.json").read_text(encoding="utf-8"))["frames"]
    length, cores = frames / 25, system.cores()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{length:.1f} s of video, {frames} frames {given.size} wide: {seconds:.0f} s = {seconds / length:.1f} × its length "
        f"(target {TARGET:g}); processor {processor:.0f} s = {processor / cores / length:.1f} × on {cores} cores; "
        f"at most {memory:.2f} GB"
    )
    if given.json:
        found = {
            "seconds": seconds,
            "length": length,
            "cores": cores,
            "processor": processor,
            "memory_gb": memory,
            "steps": rows,
        }
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
