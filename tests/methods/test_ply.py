"""PLY files of clouds, read back by another library."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData

from methods.gaussians import sh
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.ply import log_scales, write_ply

N = 7


@pytest.fixture
def cloud() -> GaussianCloud:
    torch.manual_seed(3)
    cloud = GaussianCloud.random(torch.randn(N, 3), 5, 1.0)
    for value in cloud.raw.values():
        value.data = torch.randn_like(value)
    cloud.active_degree = 2
    return cloud


def read(path: Path, cloud: GaussianCloud) -> PlyData:
    write_ply(path, cloud)
    return PlyData.read(path)


def columns(found: PlyData, *names: str) -> np.ndarray:
    return np.stack([found["vertex"][name] for name in names], 1)


def test_properties_are_those_of_3dgs_in_their_order(cloud, tmp_path):
    found = read(tmp_path / "a.ply", cloud)
    assert [e.name for e in found.elements] == ["vertex"]
    assert (found.text, found.byte_order, len(found["vertex"].data)) == (False, "<", N)
    properties = found["vertex"].properties
    assert {p.val_dtype for p in properties} == {"f4"}
    expected = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(45))]
    expected += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert [p.name for p in properties] == expected
    header = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")[0]
    assert (tmp_path / "a.ply").stat().st_size == len(header) + len(b"end_header\n") + 248 * N


def test_values_are_ours_after_a_viewers_activations(cloud, tmp_path):
    found = read(tmp_path / "a.ply", cloud)
    assert np.array_equal(columns(found, "x", "y", "z"), cloud.xyz.detach().numpy())
    assert not columns(found, "nx", "ny", "nz").any()
    scales = np.exp(columns(found, "scale_0", "scale_1", "scale_2"))
    assert np.allclose(scales, cloud.scales().detach().numpy(), rtol=1e-6)
    opacity = 1 / (1 + np.exp(-found["vertex"]["opacity"]))
    assert np.allclose(opacity, cloud.opacities().detach().numpy(), rtol=1e-6)
    rotation = columns(found, "rot_0", "rot_1", "rot_2", "rot_3")
    assert np.allclose(rotation, cloud.quats().detach().numpy(), atol=1e-7)
    dc = 0.28209479177387814 * columns(found, "f_dc_0", "f_dc_1", "f_dc_2") + 0.5
    assert np.allclose(dc.clip(0), sh.colours(cloud.raw["f_dc"], cloud.raw["f_rest"], cloud.xyz, 0).detach().numpy())


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_harmonics_give_our_colours_with_a_viewers_layout(cloud, tmp_path, degree):
    """Red's fifteen coefficients first, then green's, then blue's; what rendering doesn't use is zero, the third degree too."""
    cloud.active_degree = degree
    found = read(tmp_path / "a.ply", cloud)
    rest = columns(found, *(f"f_rest_{i}" for i in range(45))).reshape(N, 3, 15)
    directions = torch.nn.functional.normalize(torch.randn(N, 3), dim=1)
    basis = sh.basis(directions, 2).numpy()[:, None]
    viewer = (
        0.5
        + 0.28209479177387814 * columns(found, "f_dc_0", "f_dc_1", "f_dc_2")
        + (basis[..., 1:] * rest[..., :8]).sum(-1)
    )
    ours = sh.colours(cloud.raw["f_dc"], cloud.raw["f_rest"], directions, degree)
    assert np.allclose(viewer.clip(0), ours.detach().numpy(), atol=1e-5)
    assert not rest[..., 8:].any()


def test_a_scale_too_small_for_floats_stays_finite(cloud):
    cloud.raw["scaling"].data[:] = torch.tensor([-200.0, -31.0, -29.0])
    assert torch.nn.functional.softplus(torch.tensor(-200.0)) == 0
    assert np.allclose(log_scales(cloud)[0], (-200, -31, math.log(math.log1p(math.exp(-29)))), rtol=1e-12)


def test_an_empty_cloud_is_an_empty_file(cloud, tmp_path):
    cloud.replace(torch.zeros(N, dtype=torch.bool))
    assert len(read(tmp_path / "a.ply", cloud)["vertex"].data) == 0
