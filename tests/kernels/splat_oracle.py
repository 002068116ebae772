"""What the rasteriser is measured against: a dense float64 compositor that shares no code with it, and test clouds."""

import math

import torch

NAMES = ("means", "quats", "scales", "opacities", "colors")


def cloud(n, channels=3, seed=0, dtype=torch.float32, size=0.12):
    """A ball of Gaussians around the origin: the five tensors in the order of :data:`NAMES`."""
    g = torch.Generator().manual_seed(seed)
    means = torch.randn(n, 3, generator=g, dtype=torch.float64) * 0.5
    quats = torch.randn(n, 4, generator=g, dtype=torch.float64) * 2
    scales = size * torch.exp(0.6 * torch.randn(n, 3, generator=g, dtype=torch.float64))
    opacities = torch.sigmoid(1.5 * torch.randn(n, generator=g, dtype=torch.float64) + 0.5)
    colors = torch.rand(n, channels, generator=g, dtype=torch.float64)
    return [t.to(torch.float32).to(dtype) for t in (means, quats, scales, opacities, colors)]


def cameras(width, height, count=1, dtype=torch.float32):
    """viewmats [count,4,4] and Ks [count,3,3], turned a little so that nothing is axis-aligned."""
    views, Ks = [], []
    for i in range(count):
        angle = 0.15 + 0.4 * i
        view = torch.eye(4, dtype=torch.float64)
        view[0, 0] = view[2, 2] = math.cos(angle)
        view[0, 2], view[2, 0] = math.sin(angle), -math.sin(angle)
        view[:3, 3] = torch.tensor([0.05, -0.1, 4.0])
        views.append(view)
        f = 1.9 * width
        Ks.append(
            torch.tensor([[f, 0, width / 2 + 1], [0, 1.05 * f, height / 2 - 0.7], [0, 0, 1]], dtype=torch.float64)
        )
    return torch.stack(views).float().to(dtype), torch.stack(Ks).float().to(dtype)


def rotation(q):
    w, x, y, z = q / q.norm()
    return torch.stack([
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]),
    ])  # fmt: skip


def render(means, quats, scales, opacities, colors, view, K, width, height, background, near=0.2, eps2d=0.3):
    """One image [H,W,D] and alpha [H,W]: every Gaussian on every pixel, nearest first, one after the other."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    ys, xs = (t.to(means.dtype) + 0.5 for t in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    light = torch.ones(height, width, dtype=means.dtype)
    full = torch.zeros(height, width, dtype=torch.bool)
    image = torch.zeros(height, width, colors.shape[1], dtype=means.dtype)
    points = means @ view[:3, :3].T + view[:3, 3]
    for i in torch.argsort(points[:, 2].detach(), stable=True).tolist():
        x, y, z = points[i]
        if z < near:
            continue
        # tangent clamped to the image plus 15 % of its size on each side
        tx = torch.clamp(x / z, -(cx + 0.15 * width) / fx, (width - cx + 0.15 * width) / fx)
        ty = torch.clamp(y / z, -(cy + 0.15 * height) / fy, (height - cy + 0.15 * height) / fy)
        zero = torch.zeros_like(z)
        J = torch.stack([torch.stack([fx / z, zero, -fx * tx / z]), torch.stack([zero, fy / z, -fy * ty / z])])
        R, S = view[:3, :3] @ rotation(quats[i]), torch.diag(scales[i] ** 2)
        cov = J @ R @ S @ R.T @ J.T + eps2d * torch.eye(2, dtype=means.dtype)
        d = torch.stack([xs - (fx * x / z + cx), ys - (fy * y / z + cy)], -1)
        sigma = 0.5 * (d * (d @ torch.linalg.inv(cov))).sum(-1)
        alpha = torch.clamp_max(opacities[i] * torch.exp(-sigma), 0.999)
        use = (alpha >= 1 / 255) & ~full
        full = full | (use & (light * (1 - alpha) <= 1e-4))
        alpha = torch.where(use & ~full, alpha, 0.0)
        image = image + (alpha * light)[..., None] * colors[i]
        light = light * (1 - alpha)
    return image + light[..., None] * background, 1 - light


def relative(a, b):
    """Distance of two tensors relative to the second's norm."""
    a, b = a.double(), b.double()
    return ((a - b).norm() / b.norm().clamp_min(1e-12)).item()
