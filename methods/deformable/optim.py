"""The fields' optimiser and its schedule."""

from __future__ import annotations

import torch
from torch import nn


def field_optimizer(field: nn.Module, gain: float) -> torch.optim.AdamW:
    """AdamW with the field's own groups."""
    return torch.optim.AdamW(field.parameter_groups(gain), betas=(0.9, 0.99), eps=1e-8, fused=True)  # type: ignore[operator]


def field_factor(it: int, curriculum_until: int, decay_span: int) -> float:
    """Learning-rate factor of iteration ``it``: 0.5^(k/S) before S, 0.1^(k/span) after, k = it − 1."""
    k = it - 1
    return 0.5 ** (k / curriculum_until) if k < curriculum_until else 0.1 ** (k / decay_span)
