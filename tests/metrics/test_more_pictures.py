"""MS-SSIM, FLIP, sharpness and flicker: against their reference implementations, and as measures of what they claim to measure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import structural_similarity

from bench.errors import DataError, UsageError
from bench.metrics import flicker, flip, ms_ssim, sharpness
from bench.metrics.base import Metric, MetricResult, Settings, aggregate
from bench.metrics.batch import FULL, Batch, Frames, Mask

METRICS = [module.METRIC for module in (ms_ssim, flip, sharpness, flicker)]
NAMES = [metric.name for metric in METRICS]


def blurred(frames: Frames, times: int) -> Frames:
    """Averages over 2×2 pixels, again and again, in whole numbers: the same on every machine."""
    x = frames.astype(int)
    for _ in range(times):
        x = (x + np.roll(x, 1, -2) + np.roll(x, 1, -3) + np.roll(x, (1, 1), (-3, -2)) + 2) // 4
    return x.astype(np.uint8)


def picture(height: int = 176, width: int = 192, shift: int = 0) -> Frames:
    """Triangle waves and a chequerboard [1, H, W, 3], moved to the left."""
    y, x = np.mgrid[:height, :width]
    x = x + shift
    fine = np.abs((x - 5 * y) % 34 - 17) * 5 + ((x // 23 + y // 31) % 2) * 30
    channels = [np.abs((3 * x + 2 * y + 40 * c) % 128 - 64) * 2 + fine for c in range(3)]
    return np.stack(channels, -1).clip(0, 255).astype(np.uint8)[None]


def noisy(frames: Frames, sigma: float) -> Frames:
    """The same noise for every sigma, but for its size."""
    noise = np.random.default_rng(3).normal(0, sigma, frames.shape)
    return np.clip(np.round(frames + noise), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def film() -> Frames:
    """Eight frames: the left half stands still, the right half moves."""
    frames = np.concatenate([blurred(picture(shift=3 * t), 1) for t in range(8)])
    frames[:, :, :96] = frames[0, :, :96]
    return frames


def run(
    metric: Metric,
    pred: Frames,
    gt: Frames,
    size: int = 8,
    masks: dict[str, Mask] | None = None,
    options: dict[str, str] | None = None,
) -> MetricResult:
    """The metric over a film in batches of ``size``, its value bound to all frames scored."""
    scorer = metric.open(Settings(options=options or {}))
    series: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(gt), size):
        part = slice(start, start + size)
        before = (pred[start - 1 : start], gt[start - 1 : start]) if start else None
        regions = {name: mask[part] for name, mask in (masks or {}).items()}
        batch = Batch(pred[part], gt[part], regions, tuple(range(len(gt)))[part], before)
        for name, values in scorer.per_frame(batch).items():
            series.setdefault(name, []).append(values)
    results = {
        name: aggregate(metric, scorer, np.concatenate(v), len(gt), 1.0, region=name) for name, v in series.items()
    }
    whole = results.pop(FULL)
    return MetricResult(**{**vars(whole), "regions": results})


def value(result: MetricResult) -> float:
    """The number, which there must be."""
    assert result.value is not None, result.reason
    return result.value


# What holds of all


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_the_batch_does_not_matter(metric: Metric, film: Frames) -> None:
    pred = noisy(blurred(film, 1), 3)
    masks = {"part": np.random.default_rng(0).random(film.shape[:3])} if metric.takes("part") else {}
    whole = run(metric, pred, film, 8, masks)
    assert np.isfinite(whole.per_frame[1:]).all()
    for size in (1, 3):
        other = run(metric, pred, film, size, masks)
        assert np.array_equal(other.per_frame, whole.per_frame, equal_nan=True)
        for name, result in whole.regions.items():
            assert np.array_equal(other.regions[name].per_frame, result.per_frame, equal_nan=True)


@pytest.mark.parametrize(("metric", "best"), list(zip(METRICS, (1.0, 0.0, 0.0, 0.0), strict=True)), ids=NAMES)
def test_the_ground_truth_itself_has_the_known_value(metric: Metric, best: float, film: Frames) -> None:
    result = run(metric, film, film)
    assert value(result) == pytest.approx(best, abs=1e-12)
    assert value(run(metric, noisy(blurred(film, 3), 6), film)) != pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_intervals_end_where_values_do(metric: Metric, film: Frames) -> None:
    """One bad frame among many good ones: without a bound, the interval would reach beyond what is possible."""
    gt = np.concatenate([film, film])
    pred = gt.copy()
    pred[7] = noisy(blurred(gt[7:8], 8), 8)[0]
    result = run(metric, pred, gt)
    best = value(run(metric, gt, gt))
    assert result.ci95 is not None
    assert best in result.ci95
    assert result.ci95[0] < result.ci95[1]


@pytest.mark.parametrize("metric", METRICS[:3], ids=NAMES[:3])
def test_more_blur_is_worse(metric: Metric, film: Frames) -> None:
    sign = 1 if metric.higher_is_better else -1
    found = [sign * value(run(metric, blurred(film[:2], times), film[:2])) for times in (0, 1, 2, 4)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4


@pytest.mark.parametrize("metric", [METRICS[0], METRICS[1], METRICS[3]], ids=["ms-ssim", "flip", "flicker"])
def test_more_noise_is_worse(metric: Metric, film: Frames) -> None:
    sign = 1 if metric.higher_is_better else -1
    found = [sign * value(run(metric, noisy(film, sigma), film)) for sigma in (0, 1, 2, 4, 8)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 5


@pytest.mark.parametrize("metric", METRICS[1:], ids=NAMES[1:])
def test_a_mask_of_ones_is_the_whole_frame_and_an_empty_one_has_no_value(metric: Metric, film: Frames) -> None:
    ones = np.ones(film.shape[:3])
    result = run(metric, noisy(film, 4), film, masks={"all": ones, "none": 0 * ones})
    np.testing.assert_allclose(result.regions["all"].per_frame, result.per_frame, rtol=1e-6)
    assert np.isnan(result.regions["none"].per_frame).all()
    assert result.regions["none"].state == "undefined"


@pytest.mark.parametrize(
    "measure", [ms_ssim.ms_ssim, flip.flip, flicker.flicker, lambda pred, gt: sharpness.cpbd(pred, np.ones((1, 2, 2)))]
)
def test_wrong_shapes_are_named(measure: Callable[[Frames, Frames], np.ndarray]) -> None:
    with pytest.raises(DataError):
        measure(picture(200, 200), picture(200, 201))


# MS-SSIM


def test_ms_ssim_equals_pytorch_msssim() -> None:
    """Values of pytorch-msssim 1.0.0 in double precision; its window is of single precision."""
    gt = picture()
    found = [float(ms_ssim.ms_ssim(blurred(gt, times), gt)[0]) for times in (1, 2, 4)]
    assert found == pytest.approx([0.9745474624318041, 0.9059310186674708, 0.6735184412001679], abs=1e-5)


def test_ms_ssim_equals_pytorch_msssim_as_installed() -> None:
    package = pytest.importorskip("pytorch_msssim")
    import torch

    gt = np.concatenate([picture(256, 256), picture(256, 256, 50)])
    pred = noisy(blurred(gt, 1), 30)
    tensors = [torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).double() for x in (pred, gt)]
    expected = package.ms_ssim(*tensors, data_range=255, size_average=False).numpy()
    np.testing.assert_allclose(ms_ssim.ms_ssim(pred, gt), expected, atol=1e-5)


def test_ms_ssim_of_odd_sides_pairs_the_last_pixel_with_itself() -> None:
    """As Matlab's ``imfilter(x, ones(2)/4, 'symmetric')`` at every second pixel, Wang's own code."""
    gt = picture(171, 187)
    pred = noisy(gt, 25)

    def halved(x: np.ndarray) -> np.ndarray:
        return ndimage.correlate(x, np.full((2, 2), 0.25), mode="reflect", origin=(-1, -1))[::2, ::2]

    channels = []
    for c in range(3):
        x, y = (frames[0, ..., c].astype(float) for frames in (pred, gt))
        factors = []
        for scale in range(5):
            similarity = _inner(x, y)
            factors.append((similarity if scale == 4 else similarity / _luminance(x, y)).mean())
            x, y = halved(x), halved(y)
        channels.append(np.prod(np.array(factors) ** ms_ssim.EXPONENTS))
    assert ms_ssim.ms_ssim(pred, gt)[0] == pytest.approx(np.mean(channels), abs=1e-9)


def _inner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    _, full = structural_similarity(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
    )
    return full[5:-5, 5:-5]


def _luminance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, b = (ndimage.gaussian_filter(z, 1.5, radius=5)[5:-5, 5:-5] for z in (x, y))
    return (2 * a * b + 6.5025) / (a * a + b * b + 6.5025)


def test_small_frames_have_no_ms_ssim_and_the_reason_says_so() -> None:
    small = np.repeat(picture(160, 300), 3, axis=0)
    result = run(ms_ssim.METRIC, small, small)
    assert (result.value, result.state) == (None, "undefined")
    assert "161×161" in str(result.reason)
    assert value(run(ms_ssim.METRIC, picture(161, 161), picture(161, 161))) == 1.0


def test_opposite_pictures_have_no_similarity() -> None:
    """Negative structure: a root of a negative number would be NaN."""
    gt = picture()
    assert ms_ssim.ms_ssim(255 - gt, gt)[0] == 0.0


# FLIP


def test_flip_equals_flip_evaluator() -> None:
    """Values of flip-evaluator 1.7, which computes in single precision."""
    gt = picture()
    found = [[float(flip.flip(blurred(gt, times), gt, ppd=ppd)[0]) for ppd in (flip.PPD, 30)] for times in (1, 4)]
    expected = [[0.2025212485232535, 0.27150849943229166], [0.47411339547640335, 0.5756871369098504]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert flip.error_maps(blurred(gt, 4), gt)[0, 80, 90, 0] == pytest.approx(0.36347824, abs=1e-4)


def test_flip_equals_flip_evaluator_as_installed() -> None:
    package = pytest.importorskip("flip_evaluator")
    gt = picture(100, 120)
    pred = noisy(255 - gt, 20)
    scaled = [(x[0] / 255).astype(np.float32) for x in (gt, pred)]
    expected = package.evaluate(*scaled, "LDR", applyMagma=False)[0]
    np.testing.assert_allclose(flip.error_maps(pred, gt)[0], expected, atol=2e-4)
    assert flip.flip(pred, gt)[0] == pytest.approx(expected.mean(dtype=float), abs=1e-5)


def test_flip_of_a_region_is_the_mean_of_its_map() -> None:
    gt = picture()
    pred = gt.copy()
    pred[:, :, :60] = 255 - pred[:, :, :60]
    left = np.zeros(gt.shape[:3])
    left[:, :, :60] = 1
    maps = flip.error_maps(pred, gt)
    assert flip.flip(pred, gt, left)[0] == pytest.approx(maps[0, :, :60].mean(dtype=float), abs=1e-6)
    far = np.zeros(gt.shape[:3])
    far[:, :, 72:] = 1  # filters reach 10 pixels over the edge
    assert flip.flip(pred, gt, far)[0] == 0.0


def test_flip_states_its_pixels_per_degree() -> None:
    gt = picture(70, 70)
    assert str(run(flip.METRIC, gt, gt).signature).endswith("|ppd:67.02|v:1")
    other = run(flip.METRIC, blurred(gt, 2), gt, options={"ppd": "30"})
    assert "|ppd:30|" in str(other.signature)
    assert value(other) == flip.flip(blurred(gt, 2), gt, ppd=30)[0]
    for wrong in ("0", "-3", "many", "nan", "inf"):
        with pytest.raises(UsageError, match="ppd"):
            flip.METRIC.open(Settings(options={"ppd": wrong}))


# Sharpness


def test_cpbd_equals_the_package() -> None:
    """Values of cpbd 1.0.7."""
    found = [float(sharpness.cpbd(blurred(picture(), times))[0]) for times in (0, 1, 2, 4)]
    expected = [0.10354223433242507, 0.5573770491803279, 0.3298245614035088, 0.15254237288135594]
    assert found == pytest.approx(expected, abs=1e-12)


def ramp(width: int, height: int, rising: bool = True) -> Frames:
    """64×64 grey; one edge that takes ``width`` pixels from 20 to 20 + ``height``, steepest in its middle."""
    place = np.linspace(-1, 1, width + 1)
    line = np.full(64, 20.0)
    line[30 : 31 + width] += height * (np.sin(place * np.pi / 2) + 1) / 2
    line[31 + width :] += height
    line = np.round(line if rising else line[::-1])
    return np.broadcast_to(line[None, None, :, None], (1, 64, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize(("height", "widest"), [(200, 3), (51, 3), (50, 5), (40, 5)])
def test_an_edge_is_sharp_up_to_the_width_that_its_contrast_allows(height: int, widest: int, rising: bool) -> None:
    """Even widths have one steepest pixel, which the detector needs."""
    found = {width: float(sharpness.cpbd(ramp(width, height, rising))[0]) for width in (2, 4, 6, 8)}
    assert found == {width: float(width <= widest) for width in found}


def test_cpbd_of_a_region_counts_its_edges() -> None:
    """A sharp edge in the left block, a wide one in the right block."""
    both = np.concatenate([ramp(2, 200), ramp(8, 200, rising=False)], axis=2)
    left = np.zeros(both.shape[:3])
    left[:, :, :64] = 3
    right = (left == 0).astype(float)
    assert sharpness.cpbd(both)[0] == pytest.approx(0.5)
    assert sharpness.cpbd(both, left)[0] == 1.0
    assert sharpness.cpbd(both, right)[0] == 0.0
    assert sharpness.cpbd(both, left + right)[0] == pytest.approx(0.75)  # weight 3 against 1


def test_nothing_to_see_is_not_sharp_and_small_frames_have_no_value() -> None:
    flat = np.full((2, 64, 64, 3), 7, np.uint8)
    assert np.array_equal(sharpness.cpbd(flat), np.zeros(2))
    small = run(sharpness.METRIC, flat[:, :63], flat[:, :63])
    assert small.state == "undefined"
    assert "64×64" in str(small.reason)


def test_sharper_than_the_footage_is_not_better() -> None:
    """Noise makes narrow edges: without the bound it would beat the ground truth itself."""
    gt = blurred(np.concatenate([picture(shift=t) for t in range(9)]), 3)
    result = run(sharpness.METRIC, noisy(gt, 12), gt)
    assert (result.per_frame[:, 0] > result.per_frame[:, 1]).all()
    assert value(result) == 0.0
    assert np.array_equal(result.per_frame[:, 1], sharpness.cpbd(gt))
    dull = run(sharpness.METRIC, blurred(gt, 2), gt)
    assert value(dull) == pytest.approx((sharpness.cpbd(blurred(gt, 2)) - sharpness.cpbd(gt)).mean())
    assert dull.ci95 is not None
    assert dull.ci95[0] <= value(dull) <= dull.ci95[1] < 0


# Flicker


def test_flicker_is_the_change_where_nothing_changes(film: Frames) -> None:
    """5 levels brighter every other frame, in a still picture and beside a moving half that doesn't count."""
    pulse = (5 * (np.arange(8) % 2)).reshape(8, 1, 1, 1).astype(np.uint8)
    still = np.repeat(np.minimum(film[:1], 250), 8, axis=0)
    assert flicker.flicker(still + pulse, still)[1:] == pytest.approx(5.0, abs=1e-4)
    film = np.minimum(film, 200)
    moving = film.copy()
    moving[:, :, 110:] = noisy(film, 9)[:, :, 110:]
    left = np.zeros(film.shape[:3])
    left[:, :, :90] = 1
    assert np.array_equal(flicker.flicker(moving, film, left)[1:], np.zeros(7))
    assert flicker.flicker(film + pulse, film, left)[1:] == pytest.approx(5.0, abs=1e-4)


def test_a_frozen_picture_is_as_good_as_the_ground_truth_and_not_better(film: Frames) -> None:
    footage = noisy(film, 1)
    frozen = np.repeat(footage[:1], 8, axis=0)
    assert np.array_equal(flicker.flicker(frozen, footage)[1:], np.zeros(7))
    loud = frozen.copy()
    loud[4] = noisy(frozen[4:5], 20)[0]
    found = flicker.flicker(loud, footage)
    assert found[4] > 1
    assert found[5] > 1
    assert np.array_equal(found[[1, 2, 3, 6, 7]], np.zeros(5))


def test_noise_as_loud_as_the_footage_is_no_flicker(film: Frames) -> None:
    """The same film with other noise of the same size."""
    footage, made = noisy(film, 1.5), noisy(film[::-1], 1.5)[::-1]
    assert flicker.flicker(made, footage)[1:].mean() < 0.03
    assert flicker.flicker(noisy(film, 4.5), footage)[1:].mean() > 0.3


def test_the_first_frame_is_not_missed(film: Frames) -> None:
    """Every frame must be scored here; the first one can't be, and that is no loss."""
    result = run(flicker.METRIC, noisy(film, 2)[:3], film[:3])
    assert result.n == (2, 2)
    assert result.state == "ok"
    assert np.isnan(result.per_frame[0])
    alone = run(flicker.METRIC, film[:1], film[:1])
    assert (alone.value, alone.state, alone.n) == (None, "undefined", (0, 0))
    assert "one before" in str(alone.reason)


def test_a_loss_beyond_the_first_frame_still_counts(film: Frames) -> None:
    """The fourth frame has no predecessor either: 6 of 7 is below a bound of 90 %."""
    scorer = flicker.METRIC.open(Settings())
    values = scorer.per_frame(Batch(film, film, ids=(0, 1, 2, 10, 11, 12, 13, 14)))[FULL]
    assert np.flatnonzero(np.isnan(values)).tolist() == [0, 3]
    result = aggregate(flicker.METRIC, scorer, values, 8, 0.9)
    assert (result.state, result.n) == ("invalid", (6, 7))


def test_a_camera_that_moves_leaves_nothing_to_compare() -> None:
    """The whole picture gets brighter from frame to frame."""
    gt = np.stack([np.full((20, 20, 3), 10 * t, np.uint8) for t in range(5)])
    result = run(flicker.METRIC, gt, gt)
    assert result.state == "undefined"
    assert "stands still" in str(result.reason)
