"""What makes scoring fast must not show in its numbers: threads, caches, buffers, fewer multiplications. Nothing here is timed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.metrics import structural_similarity

import bench
from bench.errors import BenchWarning, DataError
from bench.metrics import METRICS, Batch, Scorer, lpips, ssim, trunk
from bench.video import write_lossless

Pair = tuple[np.ndarray, np.ndarray]
SIZES = [(63, 63), (97, 131), (144, 176), (128, 160)]
"""The last two fill the same grid of tiles differently."""


def noisy(count: int, height: int, width: int, sigma: float = 12.0) -> Pair:
    """(pred, gt): waves that move, and a noisy copy."""
    rng = np.random.default_rng(height * width + count)
    y, x = np.mgrid[0:height, 0:width] / 64.0
    waves = [127 + 100 * np.sin(3 * x + 2 * y * c + 0.4 * i) for i in range(count) for c in range(3)]
    gt = np.moveaxis(np.stack(waves).reshape(count, 3, height, width), 1, 3).astype(np.uint8)
    return np.clip(np.round(gt + rng.normal(0, sigma, gt.shape)), 0, 255).astype(np.uint8), gt


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Any) -> Path:
    """A cache of its own; the network comes from where it always does."""
    lpips.load("cpu")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BENCH_CACHE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def videos(tmp_path: Path) -> tuple[Path, Path]:
    """(pred, gt) of 19 frames: two whole batches and a rest."""
    paths = tmp_path / "pred.mkv", tmp_path / "gt.mkv"
    for path, frames in zip(paths, noisy(19, 80, 96), strict=True):
        write_lossless(path, frames, 25)
    return paths


def values(videos: tuple[Path, Path]) -> dict[str, np.ndarray]:
    """Every frame's values, of the whole and of a soft mask that is empty in every fifth frame."""
    names = ("psnr", "ssim", "lpips")
    mask = np.zeros((80, 96))
    mask[20:50, 30:70] = 0.5
    results = bench.score(*videos, metrics=names, masks={"middle": lambda number: mask * (number % 5)})
    whole = {name: result.per_frame for name, result in results.items()}
    return whole | {f"{name}@middle": results[name].regions["middle"].per_frame for name in names}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, series in expected.items():
        assert np.array_equal(found[name], series, equal_nan=True), name


def stored(home: Path) -> list[Path]:
    return sorted((home / "cache/lpips").glob("[!.]*"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [0.4, 3.0, 40.0])
def test_lpips_is_the_package_s(size: tuple[int, int], sigma: float, network: Any) -> None:
    import torch

    pred, gt = noisy(2, *size, sigma)
    sides = (torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()).float() / 255 for frames in (gt, pred))
    with torch.inference_mode():
        expected = network(*sides, normalize=True).flatten().numpy()
    assert expected.min() > 0
    np.testing.assert_allclose(lpips.lpips(pred, gt, network), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("size", SIZES)
def test_every_layer_is_the_network_s(size: tuple[int, int], network: Any) -> None:
    """Against exact arithmetic: no layer may be more than a few roundings of its largest value away."""
    import copy

    import torch

    frame = noisy(1, *size)[0]
    exact = copy.deepcopy(network).double()
    with torch.inference_mode():
        planes = torch.from_numpy(frame.transpose(0, 3, 1, 2).copy()).double() / 255 * 2 - 1
        expected = [layer[0].permute(1, 2, 0) for layer in exact.net(exact.scaling_layer(planes))]
        found = trunk.Trunk(network)(frame[0])
    shapes = trunk.Trunk(network).shapes(*size)
    for layer, features, linear, shape in zip(expected, found, exact.lins, shapes, strict=True):
        weights = linear.model[-1].weight.detach().flatten()
        unit = layer / (layer.norm(dim=2, keepdim=True) + 1e-10) * weights.sqrt()
        assert tuple(features.shape) == shape
        assert (weights == 0).any()
        assert float((features - unit[:, :, weights > 0]).abs().max()) < 1e-5 * float(unit.max())


def test_lpips_without_nnpack(pair: Pair, network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = lpips.lpips(*pair, network)
    monkeypatch.setattr(trunk, "nnpack", lambda: False)
    lpips._trunk.cache_clear()
    try:
        np.testing.assert_allclose(lpips.lpips(*pair, network), expected, rtol=1e-5)
    finally:
        lpips._trunk.cache_clear()


@pytest.mark.parametrize("window", ["gauss11", "uniform7"])
def test_ssim_is_scikit_image_s(window: Any) -> None:
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False} if window == "gauss11" else {}
    for size in (*SIZES, SIZES[0]):  # buffers of one size must not leak into the next
        pred, gt = noisy(2, *size)
        expected = [
            structural_similarity(g, p, data_range=255, channel_axis=2, **wang) for p, g in zip(pred, gt, strict=True)
        ]
        np.testing.assert_allclose(ssim.ssim(pred, gt, window=window), expected, rtol=1e-12)


def test_a_frame_s_values_depend_on_nothing_but_the_frame(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone or in a batch, after frames of other sizes, in whatever thread."""
    pairs = {size: noisy(5, *size) for size in SIZES}
    found: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray]]] = {size: [] for size in SIZES}
    for count in ("1", "2", "3", "1"):
        monkeypatch.setenv("BENCH_THREADS", count)
        for size, (pred, gt) in pairs.items():
            found[size].append((lpips.lpips(pred, gt, network), ssim.ssim(pred, gt)))
    for size, (pred, gt) in pairs.items():
        alone = [
            (lpips.lpips(p[None], g[None], network), ssim.ssim(p[None], g[None])) for p, g in zip(pred, gt, strict=True)
        ]
        for in_batch in found[size]:
            for index, expected in enumerate(zip(*alone, strict=True)):
                assert np.array_equal(in_batch[index], np.concatenate(expected))


def test_threads_don_t_change_scores(videos: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", "off")
    monkeypatch.setenv("BENCH_THREADS", "1")
    expected = values(videos)
    assert all(np.isnan(expected["lpips@middle"][::5]))  # empty there
    for count in ("2", "5"):
        monkeypatch.setenv("BENCH_THREADS", count)
        assert_same(values(videos), expected)
    assert not home.joinpath("cache").exists()


def test_a_warm_cache_changes_no_score_and_saves_the_network(
    videos: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    through = trunk.Trunk.__call__
    monkeypatch.setattr(trunk.Trunk, "__call__", lambda self, frame: seen.append(1) or through(self, frame))
    monkeypatch.setenv("BENCH_CACHE", "off")
    expected = values(videos)
    assert len(seen) == 38
    monkeypatch.delenv("BENCH_CACHE")
    for passes in (38, 19, 19):
        seen.clear()
        assert_same(values(videos), expected)
        assert len(seen) == passes
        assert len(stored(home)) == 19  # of the ground truth only


def test_features_come_back_bit_by_bit(home: Path, network: Any) -> None:
    import torch

    network_trunk, frame = trunk.Trunk(network), noisy(1, 97, 131)[0][0]
    with torch.inference_mode():
        features = network_trunk(frame)
        again = lpips._unpacked(lpips._packed(features), network_trunk.shapes(97, 131))
    assert len(lpips._packed(features)) < 0.6 * sum(layer.numpy().nbytes for layer in features)
    assert all(torch.equal(a, b) for a, b in zip(features, again, strict=True))


def test_damaged_entries_are_made_again(videos: Any, home: Path) -> None:
    expected = values(videos)
    whole = {path: path.read_bytes() for path in stored(home)}
    harm = [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:3],
        lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
        lambda data: bytes(len(data)),
        lambda data: next(iter(whole.values())) + b"x",
    ]
    for index, (path, data) in enumerate(whole.items()):
        path.write_bytes(harm[index % len(harm)](data))
    first, second = list(whole)[6:8]
    first.write_bytes(whole[second])  # another frame's: whole, but not what its name says
    assert_same(values(videos), expected)
    assert {path: path.read_bytes() for path in stored(home)} == whole


def test_a_cache_that_can_t_be_written_is_a_warning(videos: Any, home: Path) -> None:
    expected = values(videos)
    for path in stored(home):
        path.unlink()
    home.joinpath("cache", "lpips").rmdir()
    home.joinpath("cache", "lpips").write_text("a file where the folder should be")
    with pytest.warns(BenchWarning, match=r"cache/lpips: can't be used.*BENCH_CACHE=off"):
        assert_same(values(videos), expected)


@pytest.mark.parametrize("count", ["1", "3"])
def test_each_metric_gets_the_batches_in_order(
    count: str, videos: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time, each after the one before it, whatever the other metrics do; progress counts finished frames."""
    monkeypatch.setenv("BENCH_THREADS", count)
    seen: dict[str, list[tuple[int, ...]]] = {"first": [], "second": []}
    busy = {name: threading.Lock() for name in seen}

    def fake(name: str) -> Any:
        def per_frame(batch: Batch) -> dict[str, np.ndarray]:
            assert busy[name].acquire(blocking=False)
            follows = not seen[name] or batch.before is not None
            time.sleep(0.0 if seen[name] or count == "1" else 0.4)  # the second must wait for the first
            seen[name].append(batch.ids)
            busy[name].release()
            return {"full": np.full(len(batch), float(follows))}

        return replace(METRICS["psnr"], name=name, regions=frozenset(), open=lambda settings: Scorer(per_frame))

    for name in seen:
        monkeypatch.setitem(METRICS, name, fake(name))
    done: list[tuple[int, int]] = []
    results = bench.score(
        *videos, metrics=["first", "lpips", "second"], progress=lambda some, total: done.append((some, total))
    )
    assert done == [(8, 19), (16, 19), (19, 19)]
    for name, ids in seen.items():
        assert [number for batch in ids for number in batch] == list(range(19))
        assert results[name].per_frame.tolist() == [1.0] * 19


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_metric_s_error_ends_the_scoring(count: str, videos: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def per_frame(batch: Batch) -> dict[str, np.ndarray]:
        if batch.ids[0] > 0:
            raise DataError("the second batch is bad")
        return {"full": np.zeros(len(batch))}

    monkeypatch.setenv("BENCH_THREADS", count)
    monkeypatch.setitem(METRICS, "bad", replace(METRICS["psnr"], name="bad", open=lambda settings: Scorer(per_frame)))
    with pytest.raises(DataError, match="the second batch is bad"):
        bench.score(*videos, metrics=["psnr", "bad", "ssim"])


def test_a_broken_frame_ends_the_scoring_in_any_thread(videos: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = videos[0].read_bytes()
    videos[0].write_bytes(data[:4000] + bytes(b ^ 0xFF for b in data[4000:4400]) + data[4400:])
    for count in ("1", "2"):
        monkeypatch.setenv("BENCH_THREADS", count)
        with pytest.raises(DataError, match=r"pred\.mkv"):
            bench.score(*videos, metrics=["psnr"])
