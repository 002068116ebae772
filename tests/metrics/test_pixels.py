"""PSNR, SSIM and LPIPS against the libraries that everybody quotes, and their masked forms against hand-made answers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from skimage import metrics as skimage

from bench.errors import DataError
from bench.metrics.lpips import load, lpips
from bench.metrics.psnr import psnr
from bench.metrics.ssim import ssim

Pair = tuple[np.ndarray, np.ndarray]


def test_psnr_equals_skimage(pair: Pair) -> None:
    pred, gt = pair
    reference = [skimage.peak_signal_noise_ratio(g, p) for p, g in zip(pred, gt, strict=True)]
    np.testing.assert_allclose(psnr(pred, gt), reference, rtol=1e-13)


def test_psnr_of_identical_frames_is_infinite(pair: Pair) -> None:
    assert np.isposinf(psnr(pair[1], pair[1])).all()


def test_psnr_does_not_wrap_around() -> None:
    """uint8 arithmetic would make 0 − 255 equal 1."""
    black, white = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)
    assert psnr(black, white)[0] == pytest.approx(0.0, abs=1e-12)


def test_masked_psnr_is_the_error_inside_the_mask() -> None:
    """Error 10 in a quarter of the frame: inside the mask the quarter's own PSNR, however large the frame around it."""
    gt = np.zeros((1, 8, 8, 3), np.uint8)
    pred = gt.copy()
    pred[0, :4, :4] = 10
    mask = np.zeros((1, 8, 8), bool)
    mask[0, :4, :4] = True
    inside = 20 * np.log10(255 / 10)
    assert psnr(pred, gt, mask)[0] == pytest.approx(inside)
    assert psnr(pred, gt)[0] == pytest.approx(inside + 10 * np.log10(4))
    half = np.where(mask, 1.0, 0.25)  # 16 pixels at weight 1, 48 at 1/4: mse = 16·100 / (16 + 12)
    assert psnr(pred, gt, half)[0] == pytest.approx(-10 * np.log10(1600 / 28 / 255**2))
    assert np.isposinf(psnr(pred, gt, ~mask)[0])
    assert np.isnan(psnr(pred, gt, np.zeros((1, 8, 8)))[0])


def test_full_mask_changes_nothing(pair: Pair) -> None:
    ones = np.ones(pair[0].shape[:3])
    np.testing.assert_allclose(psnr(*pair, ones), psnr(*pair), rtol=1e-13)
    np.testing.assert_allclose(ssim(*pair, ones), ssim(*pair), rtol=1e-12)


def test_ssim_equals_skimage_in_the_wang_setting(pair: Pair) -> None:
    pred, gt = pair
    reference = [
        skimage.structural_similarity(
            g, p, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
        )
        for p, g in zip(pred, gt, strict=True)
    ]
    np.testing.assert_allclose(ssim(pred, gt), reference, rtol=1e-10)
    assert np.array_equal(ssim(gt, gt), np.ones(3))


def test_masked_ssim_sees_only_the_mask(pair: Pair) -> None:
    """Noise in the left half; windows reach 5 pixels over the edge, so beyond column 45 nothing differs."""
    pred, gt = pair[0].copy(), pair[1]
    pred[:, :, 40:] = gt[:, :, 40:]
    mask = np.zeros(gt.shape[:3])
    mask[:, :, 45:] = 1
    np.testing.assert_allclose(ssim(pred, gt, mask), 1.0, atol=1e-12)
    assert (ssim(pred, gt, 1 - mask) < ssim(pred, gt)).all()
    assert np.isnan(ssim(pred, gt, np.zeros_like(mask))).all()


def test_wrong_shapes_are_named(pair: Pair) -> None:
    pred, gt = pair
    for call in (
        lambda: psnr(pred[:, :-1], gt),
        lambda: psnr(pred.astype(np.float32), gt),
        lambda: psnr(pred, gt, np.ones((3, 64, 79))),
        lambda: psnr(pred, gt, -np.ones((3, 64, 80))),
        lambda: ssim(pred[:, :8], gt[:, :8]),
        lambda: lpips(pred[:, :32], gt[:, :32], network=None),
    ):
        with pytest.raises(DataError):
            call()


def test_lpips_equals_the_package(pair: Pair, network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package builds its network its own way; only torchvision's download is replaced by the same weights from our cache."""
    import lpips as package
    import torch
    import torchvision
    from safetensors.torch import load_file

    from bench import weights

    def alexnet(pretrained: bool) -> Any:
        assert pretrained
        model = torchvision.models.AlexNet()
        model.load_state_dict(load_file(weights.require("lpips-alex")), strict=False)
        return model

    monkeypatch.setattr(package.pretrained_networks.tv, "alexnet", alexnet)
    monkeypatch.setattr(torch, "load", lambda *a, _load=torch.load, **k: _load(*a, **{"weights_only": True, **k}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = package.LPIPS(net="alex", verbose=False)
    pred, gt = (torch.from_numpy(f.transpose(0, 3, 1, 2).copy()).float() / 255 for f in pair)
    with torch.inference_mode():
        expected = reference(gt, pred, normalize=True).flatten().numpy()
    np.testing.assert_allclose(lpips(*pair, network), expected, atol=1e-5)
    assert expected.min() > 0.05


def test_lpips_does_not_depend_on_the_batch(pair: Pair, network: Any) -> None:
    pred, gt = (np.concatenate([f, f]) for f in pair)
    np.testing.assert_allclose(lpips(pred, gt, network)[3:], lpips(*pair, network), atol=1e-6)
    assert np.array_equal(lpips(gt, gt, network), np.zeros(6))


def test_loading_lpips_leaves_the_random_state_alone(network: Any) -> None:
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    load.cache_clear()
    load()
    assert torch.equal(before, torch.get_rng_state())
