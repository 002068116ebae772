"""What the metric tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHEET = Path("/work/shared/recipes/synthetic_head/feas_sheet_female.png")


@pytest.fixture(scope="session")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """(pred, gt): three smooth 64×80 frames and a noisy copy, uint8 RGB."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:64, 0:80] / 64.0
    gt = np.stack([127 + 100 * np.sin(3 * x + 2 * y * k + c) for k in range(3) for c in range(3)], -1)
    gt = np.ascontiguousarray(np.moveaxis(gt.reshape(64, 80, 3, 3), 2, 0)).astype(np.uint8)
    pred = np.clip(gt + rng.normal(0, 12, gt.shape), 0, 255).astype(np.uint8)
    return pred, gt


@pytest.fixture(scope="session")
def network() -> Any:
    """LPIPS with its real weights; the test is skipped where they can't be had."""
    from bench.errors import AbsentError
    from bench.metrics import lpips

    try:
        return lpips.load()
    except AbsentError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def faces() -> np.ndarray:
    """Two 512×512 pictures of a synthetic face, mouth closed and open."""
    from PIL import Image

    if not SHEET.is_file():
        pytest.skip(f"{SHEET} is not here")
    sheet = np.asarray(Image.open(SHEET).convert("RGB"))
    return np.stack([sheet[:512, :512], sheet[:512, 512:1024]])


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no fetching."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    return tmp_path
