"""A stand-in for ``gsplat.rasterization`` 1.5.3 on the CPU: asserts what the real one expects, draws, and returns its shapes.

It projects with gsplat's own torch reference, so that gsplat's conventions decide what an argument means, and
composites with our torch twin. ``rasterization.seen`` keeps the keywords of each call,
``rasterization.passes`` what was drawn.
"""

from __future__ import annotations

import torch
from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci

from methods.gaussians import raster_twin

# Arguments whose other values mean another renderer.
ONLY = {
    "sh_degree": None, "tile_size": 16, "render_mode": "RGB", "sparse_grad": False, "absgrad": False,
    "rasterize_mode": "classic", "distributed": False, "camera_model": "pinhole", "segmented": False, "covars": None,
    "with_ut": False, "with_eval3d": False, "radius_clip": 0.0,
}  # fmt: skip


def rasterization(
    *, means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane, far_plane, eps2d, packed,
    backgrounds, channel_chunk, **rest,
):  # fmt: skip
    geometry = torch.is_grad_enabled() and any(t.requires_grad for t in (means, quats, scales, opacities))
    given = {"near_plane": near_plane, "eps2d": eps2d, "channels": colors.shape[1], "geometry": geometry}
    rasterization.seen.append({**rest, "packed": packed, "backgrounds": backgrounds})
    rasterization.passes.append(given)
    assert rest.keys() <= ONLY.keys(), rest.keys() - ONLY.keys()
    for name, value in rest.items():
        assert value == ONLY[name], name
    cloud(means, quats, scales, opacities, colors)
    cameras(viewmats, Ks, width, height)
    assert 0 < near_plane < 10 < far_plane
    assert 0 <= eps2d <= 1
    assert colors.shape[1] <= channel_chunk
    if backgrounds is not None:
        # 1.5.3 compares with image_dims + (channels,), and takes image_dims from means2d's, which are () when packed.
        assert backgrounds.shape == (() if packed else (len(viewmats),)) + (colors.shape[1],), backgrounds.shape
    return draw(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane, eps2d, packed, backgrounds
    )


rasterization.seen, rasterization.passes = [], []


def cloud(means, quats, scales, opacities, colors):
    n = len(means)
    shapes = {"means": (n, 3), "quats": (n, 4), "scales": (n, 3), "opacities": (n,), "colors": (n, colors.shape[-1])}
    for name, shape in shapes.items():
        tensor = locals()[name]
        assert tensor.shape == shape, name
        assert tensor.dtype == torch.float32, name
        assert torch.isfinite(tensor).all(), name
    assert n > 0
    assert (quats.norm(dim=1) > 0).all()
    assert (scales > 0).all()
    assert ((opacities >= 0) & (opacities <= 1)).all()


def cameras(viewmats, Ks, width, height):
    c = len(viewmats)
    assert viewmats.shape == (c, 4, 4)
    assert Ks.shape == (c, 3, 3)
    assert viewmats.dtype == Ks.dtype == torch.float32
    assert isinstance(width, int)
    assert isinstance(height, int)
    assert torch.equal(viewmats[:, 3], torch.tensor([0.0, 0, 0, 1]).expand(c, 4))
    rotations = viewmats[:, :3, :3]
    assert torch.allclose(rotations @ rotations.mT, torch.eye(3).expand(c, 3, 3), atol=1e-5)
    assert (torch.linalg.det(rotations) > 0).all()
    assert torch.equal(Ks[:, 2], torch.tensor([0.0, 0, 1]).expand(c, 3))
    assert (Ks[:, [0, 1], [1, 0]] == 0).all()  # gsplat's kernels ignore skew
    assert (Ks[:, [0, 1], [0, 1]] > 1).all()  # pixels, not fractions of the image


def radii_of(conics, means2d, depths, opacities, width, height, near_plane, far_plane=1e10):
    """gsplat's bound [C,N,2] as its CUDA kernels have it: it knows opacities, unlike the torch reference."""
    a, b, c = conics.unbind(-1)
    variances = torch.stack([c, a], -1) / (a * c - b * b)[..., None]
    extent = (2 * torch.log(opacities * 255).clamp_min(0)).sqrt().clamp_max(3.33)
    radii = (extent[..., None] * variances.sqrt()).ceil()
    size = torch.tensor([width, height])
    seen = ((means2d + radii > 0) & (means2d - radii < size)).all(-1) & (opacities >= 1 / 255)
    seen &= (depths >= near_plane) & (depths <= far_plane)
    return (radii * seen[..., None]).int()


def draw(means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane, eps2d, packed, backgrounds):
    covariances, _ = _quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    view = (viewmats, Ks, width, height, eps2d, near_plane)
    _, means2d, depths, conics, _ = _fully_fused_projection(means, covariances, *view)
    with torch.no_grad():
        radii = radii_of(conics, means2d, depths, opacities, width, height, near_plane)
    seen = (radii > 0).all(-1)
    if packed:
        camera_ids, gaussian_ids = seen.nonzero(as_tuple=True)
        means2d, depths, conics, radii = (t[seen] for t in (means2d, depths, conics, radii))
        meta = {
            "camera_ids": camera_ids,
            "gaussian_ids": gaussian_ids,
            "means2d": means2d,
            "radii": radii,
            "depths": depths,
        }
        per_camera = [(camera_ids == c, gaussian_ids[camera_ids == c]) for c in range(len(viewmats))]
    else:
        # gsplat leaves what is out of view as it finds the memory
        means2d, conics = (torch.where(seen[..., None], t, float("nan")) for t in (means2d, conics))
        depths = torch.where(seen, depths, float("nan"))
        meta = {"camera_ids": None, "gaussian_ids": None, "means2d": means2d, "radii": radii, "depths": depths}
        per_camera = [(c, slice(None)) for c in range(len(viewmats))]
    images, alphas = [], []
    for c, (rows, which) in enumerate(per_camera):
        behind = colors.new_zeros(colors.shape[1]) if backgrounds is None else backgrounds[c]
        a, b, d = conics[rows].unbind(-1)
        spread = torch.stack([d, -b, a], -1) / (a * d - b * b)[:, None]
        footprint = (means2d[rows], spread, depths[rows], radii[rows].amax(-1), opacities[which], colors[which])
        image, alpha = raster_twin.composite(*footprint, behind, width, height, 0)
        images.append(image.permute(1, 2, 0))
        alphas.append(alpha[..., None])
    return torch.stack(images), torch.stack(alphas), meta
