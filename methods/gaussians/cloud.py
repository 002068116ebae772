"""Canonical Gaussians: their parameters, activations, and the optimiser that survives changes of their number.

Source: spec_talkinggaussian §3.1, spec_degstalk §3.1 (the embedding).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from methods.gaussians import sh

_LEARNING_RATES = {
    "xyz": 1.6e-4,  # times the cameras' extent
    "f_dc": 2.5e-3,
    "f_rest": 1.25e-4,
    "opacity": 5e-2,
    "scaling": 3e-3,
    "rotation": 1e-3,
    "embedding": 2.5e-3,  # the declared embeding_lr 0.01 is never used by the official code
}
_XYZ_FINAL = 0.01


def inverse_softplus(x: Tensor) -> Tensor:
    """softplus⁻¹ for x > 0."""
    return x + torch.log(-torch.expm1(-x))


class GaussianCloud:
    """N Gaussians in head coordinates, with raw parameters, Adam, and densification statistics.

    Raw parameters: ``xyz`` [N,3] · ``f_dc`` [N,1,3] · ``f_rest`` [N,8,3] · ``scaling`` [N,3] (softplus) ·
    ``rotation`` [N,4] wxyz · ``opacity`` [N,1] (sigmoid) · ``embedding`` [N,d], d may be 0.
    """

    def __init__(self, parameters: dict[str, Tensor], extent: float) -> None:
        self.extent = extent
        """Spatial scale: 1.1 × the largest distance of a training camera from their mean."""
        self.active_degree = 0
        self.raw = {name: value.detach().clone().requires_grad_(True) for name, value in parameters.items()}
        groups = [{"params": [p], "lr": _LEARNING_RATES[n], "name": n} for n, p in self.raw.items() if p.numel()]
        self.optimizer = torch.optim.Adam(groups, lr=0.0, eps=1e-15, fused=True)
        self.reset_statistics()

    @staticmethod
    def random(points: Tensor, embedding: int, extent: float) -> GaussianCloud:
        """Grey, 10 % opaque Gaussians at ``points`` [N,3], as large as the distance to their neighbours."""
        n, device = len(points), points.device
        distance, _ = cKDTree(points.cpu().numpy()).query(points.cpu().numpy(), k=min(4, n))
        mean_square = torch.from_numpy((distance[:, 1:] ** 2).mean(1)).float() if n > 1 else torch.full((n,), 1e-4)
        scale = mean_square.clamp_min(1e-7).sqrt().to(device)
        rotation = torch.zeros(n, 4, device=device)
        rotation[:, 0] = 1
        parameters = {
            "xyz": points.float(),
            "f_dc": torch.full((n, 1, 3), sh.from_colour(127 / 255), device=device),
            "f_rest": torch.zeros(n, (sh.MAX_DEGREE + 1) ** 2 - 1, 3, device=device),
            "scaling": inverse_softplus(scale)[:, None].repeat(1, 3),
            "rotation": rotation,
            "opacity": torch.full((n, 1), math.log(0.1 / 0.9), device=device),
            "embedding": torch.zeros(n, embedding, device=device),
        }
        return GaussianCloud(parameters, extent)

    def __len__(self) -> int:
        return len(self.raw["xyz"])

    @property
    def xyz(self) -> Tensor:
        """[N,3] canonical means."""
        return self.raw["xyz"]

    @property
    def embedding(self) -> Tensor:
        """[N,d] per-Gaussian embedding."""
        return self.raw["embedding"]

    def scales(self, delta: Tensor | None = None) -> Tensor:
        """[N,3] standard deviations, after adding ``delta`` to the raw values."""
        raw = self.raw["scaling"]
        return F.softplus(raw if delta is None else raw + delta)

    def quats(self, delta: Tensor | None = None) -> Tensor:
        """[N,4] unit quaternions wxyz, after adding ``delta`` to the raw values."""
        raw = self.raw["rotation"]
        return F.normalize(raw if delta is None else raw + delta, dim=1)

    def opacities(self) -> Tensor:
        """[N] in (0, 1)."""
        return torch.sigmoid(self.raw["opacity"][:, 0])

    def colours(self, means: Tensor, camera_centre: Tensor) -> Tensor:
        """[N,3] colours of Gaussians at ``means`` [N,3] seen from ``camera_centre`` [3]."""
        directions = F.normalize(means.detach() - camera_centre, dim=1)
        return sh.colours(self.raw["f_dc"], self.raw["f_rest"], directions, self.active_degree)

    def trainable(self, names: set[str]) -> None:
        """Freeze every parameter that isn't named."""
        for name, value in self.raw.items():
            value.requires_grad_(name in names)

    def schedule(self, step: int, decay_steps: int, gain: float) -> None:
        """Set the learning rates: means fall log-linearly to 1 % over ``decay_steps``; ``gain`` multiplies the means' rate."""
        progress = min(step / decay_steps, 1.0)
        for group in self.optimizer.param_groups:
            if group["name"] == "xyz":
                group["lr"] = _LEARNING_RATES["xyz"] * self.extent * gain * _XYZ_FINAL**progress

    # -- densification statistics ---------------------------------------------------------------------------

    def reset_statistics(self) -> None:
        """Forget the accumulated screen gradients."""
        self.gradient_sum = torch.zeros(len(self), device=self.xyz.device)
        self.gradient_count = torch.zeros(len(self), device=self.xyz.device)

    def accumulate(self, ndc_gradient: Tensor, visible: Tensor) -> None:
        """Add screen gradients [N,2] in NDC units of the Gaussians that are ``visible`` [N]."""
        self.gradient_sum += torch.where(visible, ndc_gradient.norm(dim=1), 0)
        self.gradient_count += visible

    # -- changes of number ----------------------------------------------------------------------------------

    def replace(self, keep: Tensor, new: dict[str, Tensor] | None = None) -> None:
        """Keep the rows where ``keep`` [N], then append ``new`` rows; Adam moments follow, new rows start at zero.

        The parameters become new objects without gradient, so the step of this iteration is lost for them, as in
        the official code.
        """
        for group in self.optimizer.param_groups:
            name, old = group["name"], group["params"][0]
            extra = new[name] if new else old.new_zeros((0, *old.shape[1:]))
            value = torch.cat([old.detach()[keep], extra.detach()]).requires_grad_(old.requires_grad)
            state = self.optimizer.state.pop(old, {})
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment in state:
                    state[moment] = torch.cat([state[moment][keep], torch.zeros_like(extra)])
            group["params"][0] = self.raw[name] = value
            if state:
                self.optimizer.state[value] = state
        if not self.embedding.numel():
            self.raw["embedding"] = self.xyz.new_zeros(len(self), self.embedding.shape[1])
        if new is None:
            self.gradient_sum, self.gradient_count = self.gradient_sum[keep], self.gradient_count[keep]
        else:
            self.reset_statistics()

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training needs to go on exactly where it stopped."""
        out = {f"raw.{n}": v.detach() for n, v in self.raw.items()}
        out["statistics"] = torch.stack([self.gradient_sum, self.gradient_count])
        out["extent"] = torch.tensor([self.extent], dtype=torch.float64)
        out["active_degree"] = torch.tensor([self.active_degree])
        for group in self.optimizer.param_groups:
            for key, value in self.optimizer.state.get(group["params"][0], {}).items():
                out[f"adam.{group['name']}.{key}"] = value
        return out

    @staticmethod
    def from_state(state: dict[str, Tensor]) -> GaussianCloud:
        """The inverse of :meth:`state`."""
        raw = {n.removeprefix("raw."): v for n, v in state.items() if n.startswith("raw.")}
        cloud = GaussianCloud(raw, float(state["extent"]))
        cloud.active_degree = int(state["active_degree"])
        cloud.gradient_sum, cloud.gradient_count = state["statistics"].clone().unbind(0)
        for group in cloud.optimizer.param_groups:
            prefix = f"adam.{group['name']}."
            moments = {n.removeprefix(prefix): v.clone() for n, v in state.items() if n.startswith(prefix)}
            if moments:
                cloud.optimizer.state[group["params"][0]] = moments
        return cloud
