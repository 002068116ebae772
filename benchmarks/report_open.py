"""How long a report of 5 methods × 6 subjects × 700 frames takes to open: ``python benchmarks/report_open.py [--times N]``.

The run is invented: smooth noise for numbers, one video for all pictures. Needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

from bench.records import CellKey, Fps, MetricRecord, Plan, Record, save
from bench.report import build
from bench.video import write_preview

METHODS = ("ad-nerf", "er-nerf", "synctalk", "talkinggaussian", "degstalk")
SUBJECTS = ("ada", "ben", "cleo", "dan", "eve", "finn")
FRAMES, SIZE = 700, 512
MEASURES = {
    "psnr": (32.0, "dB", True),
    "ssim": (0.93, "1", True),
    "lpips": (0.03, "1", False),
    "lmd": (2.5, "px", False),
}
_OPENED = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [page.domContentLoadedEventEnd, page.loadEventEnd, paint.startTime];
}"""


def make(run: Path) -> Path:
    """Write the run folder and return it."""
    rng = np.random.default_rng(0)
    keys = [CellKey(method=m, subject=s, preset="standard", seed=0) for m in METHODS for s in SUBJECTS]
    save(run / "run.json", Plan(cells=keys))
    video = run / "video.mp4"
    write_preview(video, (_picture(rng, index) for index in range(FRAMES)), 25)
    for subject in SUBJECTS:
        _copy(video, run / "ground_truth" / f"{subject}.mp4")
    for key in keys:
        folder = run / "cells" / key.name
        _copy(video, folder / "preview.mp4")
        table = {name: mean * (1 + 0.05 * _smooth(rng)) for name, (mean, *_) in MEASURES.items()}
        pd.DataFrame({"id": np.arange(FRAMES)} | table).to_parquet(folder / "frames.parquet")
        metrics = {
            name: MetricRecord(value=float(table[name].mean()), unit=unit, higher_is_better=higher, n=(FRAMES, FRAMES),
                               signature=f"{name.upper()}|canvas:own|region:full|v:1")
            for name, (_, unit, higher) in MEASURES.items()
        }  # fmt: skip
        save(
            folder / "record.json",
            Record(cell=key, status="ok", metrics=metrics, kind="3DGS", canvas="own", fps=Fps(render=float(rng.uniform(1, 90))),
                   train_seconds={"total": 100.0}, frames=FRAMES, size=(SIZE, SIZE)),
        )  # fmt: skip
    return run


def _copy(video: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(video, to)


def _smooth(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.convolve(rng.normal(size=FRAMES + 20), np.ones(21) / 21, "valid") * 4


def _picture(rng: np.random.Generator, index: int) -> NDArray[np.uint8]:
    picture = np.full((SIZE, SIZE, 3), 120, np.uint8)
    picture[:, index % SIZE :: 64] = rng.integers(0, 255, 3)
    return picture


def main() -> None:
    """Print the size of the page and the medians of the times at which it stands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = build(make(Path(folder)))
        media = sum(file.stat().st_size for file in page.parent.rglob("*.mp4"))
        print(f"page {page.stat().st_size / 2**20:.1f} MiB, media beside it {media / 2**20:.0f} MiB")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        found = []
        for _ in range(times):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(page.as_uri(), wait_until="load")
            tab.wait_for_timeout(500)
            found.append(tab.evaluate(_OPENED))
            tab.close()
        browser.close()
    for name, milliseconds in zip(("parsed", "loaded", "first paint"), zip(*found, strict=True), strict=True):
        print(f"{name}: median {statistics.median(milliseconds):.0f} ms, most {max(milliseconds):.0f} ms")


if __name__ == "__main__":
    main()
