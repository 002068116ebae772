"""Speed of scoring video as a ratio to a plain loop over the same libraries, and how far the two differ in their numbers.

``python benchmarks/scoring.py [--size 512] [--frames 36] [--rounds 3] [--json]``

The clip is the embedded subject ``ada``, enlarged; the prediction is its blurred and noised copy; both are lossless files. The
loop is what scripts of the field do: frame by frame, the ``lpips`` package, scikit-image and the landmark detector as they are
called by default, with all threads that they take by themselves. ``cold`` is :func:`bench.score` without anything in its cache,
``warm`` once more: then ground-truth features and landmarks are known, as they are to every further method on a subject. Of a
prediction, nothing is kept. All read the files. The three take turns; a speed is that of the best round.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import lpips as package
import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import bench
from bench import catalogue, landmarks, threads
from bench.metrics import lpips
from bench.video import Frame, read_video, write_lossless

METRICS = ("psnr", "ssim", "lpips", "lmd")
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "channel_axis": 2}
Values = dict[str, np.ndarray]


def clip(folder: Path, size: int, frames: int) -> tuple[Path, Path]:
    """(pred, gt): two lossless videos of ``size`` × ``size``; the frames come again, mirrored, where there are too few."""
    subject = catalogue.resolve("ada")
    ids = list(subject.test_ids)

    def truth() -> Iterator[Frame]:
        for index in range(frames):
            image = subject.frame(ids[index % len(ids)]).image
            image = image[:, ::-1] if index // len(ids) % 2 else image
            yield cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)

    def made() -> Iterator[Frame]:
        rng = np.random.default_rng(0)
        for frame in truth():
            # Coarse noise, as of misplaced Gaussians: noise of single pixels would make decoding the largest part of the work.
            noise = cv2.resize(rng.normal(0, 6, (size // 8, size // 8, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
            yield np.clip(np.round(cv2.GaussianBlur(frame, (0, 0), 1.2) + noise), 0, 255).astype(np.uint8)

    pred, gt = folder / "pred.mkv", folder / "gt.mkv"
    write_lossless(pred, made(), 25)
    write_lossless(gt, truth(), 25)
    return pred, gt


def plain(pred: Path, gt: Path, network: package.LPIPS, detector: landmarks.Detector) -> Values:
    """The values of every frame, in the way a script without ambition computes them."""

    def tensor(frame: Frame) -> torch.Tensor:
        return torch.from_numpy(frame.transpose(2, 0, 1)[None].copy()).float() / 255

    def mouth(frame: Frame) -> np.ndarray:
        found = detector.detect(frame)
        lips = np.full((20, 2), np.nan) if found is None else found[48:68].astype(np.float64)
        return lips - lips.mean(0)

    rows = []
    for made, truth in zip(read_video(pred), read_video(gt), strict=True):
        with torch.no_grad():
            distance = network(tensor(truth), tensor(made), normalize=True).item()
        moved = np.linalg.norm(mouth(made) - mouth(truth), axis=1).mean()
        similarity = structural_similarity(truth, made, **WANG)
        rows.append((peak_signal_noise_ratio(truth, made), similarity, distance, moved))
    return dict(zip(METRICS, np.array(rows).T, strict=True))


def scored(pred: Path, gt: Path) -> Values:
    """The same from :func:`bench.score`."""
    return {name: result.per_frame for name, result in bench.score(pred, gt, metrics=METRICS).items()}


def measure(size: int, frames: int, rounds: int) -> dict[str, object]:
    """Frames per second, their ratios, and the largest differences of single frames' values."""
    before = os.environ.get("BENCH_HOME")
    network, detector = lpips.load("cpu"), landmarks.get("mediapipe", "cpu")
    with tempfile.TemporaryDirectory() as folder:
        pair = clip(Path(folder), size, frames)
        os.environ["BENCH_HOME"] = folder  # the user's own cache is neither asked nor filled
        cache = Path(folder) / "cache"
        runs: dict[str, Callable[[], Values]] = {
            "plain": lambda: plain(*pair, network, detector),
            "cold": lambda: scored(*pair),
            "warm": lambda: scored(*pair),
        }
        best, values = dict.fromkeys(runs, np.inf), {}
        for number in range(rounds + 1):
            shutil.rmtree(cache, ignore_errors=True)
            for name, run in runs.items():
                start = time.perf_counter()
                values[name] = run()
                if number:  # the first round is for warming up
                    best[name] = min(best[name], time.perf_counter() - start)
        kept = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    os.environ.pop("BENCH_HOME") if before is None else os.environ.update(BENCH_HOME=before)
    if not all(np.array_equal(values["cold"][name], values["warm"][name]) for name in METRICS):
        sys.exit("error: the values with a warm cache aren't those with a cold one")
    return {
        "frames per second": {name: round(frames / seconds, 2) for name, seconds in best.items()},
        "ratios": {f"{name}/plain": round(best["plain"] / best[name], 2) for name in ("cold", "warm")},
        "differences": {name: float(np.nanmax(abs(values["cold"][name] - values["plain"][name]))) for name in METRICS},
        "cache, MB a frame": round(kept / frames / 1e6, 2),
        "peak memory, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--frames", type=int, default=36)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    given = parser.parse_args()
    setting = {"size": given.size, "frames": given.frames, "rounds": given.rounds}
    result = {**setting, "threads": threads.allowed(), **measure(**setting)}
    if given.json:
        print(json.dumps(result))
        return
    print(f"{given.frames} frames of {given.size} x {given.size}, {result['threads']} threads, best of {given.rounds}")
    for group in ("frames per second", "ratios"):
        for name, value in result[group].items():
            print(f"  {group:18s} {name:12s} {value:10.2f}")
    for name, value in result["differences"].items():
        print(f"  {'max difference':18s} {name:12s} {value:10.1e}")
    for name in ("cache, MB a frame", "peak memory, MB"):
        print(f"  {name:31s} {result[name]:10.2f}")


if __name__ == "__main__":
    main()
