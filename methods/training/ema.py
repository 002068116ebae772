"""Exponential moving average of parameters, as the field's NeRF code keeps it (spec_ernerf §5)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Ema:
    """Averages of ``parameters``, which follow them at min(decay, (1 + n) / (10 + n)) after n updates.

    :param parameters: in an order that does not change
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float = 0.95) -> None:
        self.decay, self.updates = decay, 0
        self.parameters = list(parameters)
        self.shadow = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the parameters."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, parameter in zip(self.shadow, self.parameters, strict=True):
            average.lerp_(parameter.detach(), 1 - keep)

    def state(self) -> dict[str, Tensor]:
        """What :meth:`load` takes."""
        return {"updates": torch.tensor([self.updates]), **{f"shadow.{k}": v for k, v in enumerate(self.shadow)}}

    def load(self, state: dict[str, Tensor]) -> None:
        """The inverse of :meth:`state`."""
        self.updates = int(state["updates"])
        for k, average in enumerate(self.shadow):
            average.copy_(state[f"shadow.{k}"])
