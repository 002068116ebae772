"""AdamW's parameter groups of a field that has an ``encoder`` and an ``audio_attention_net``."""

from __future__ import annotations

from torch import nn


def field_groups(field: nn.Module, rate: float, gain: float) -> list[dict[str, object]]:
    """Grids at ``rate`` with AdamW's default decay, nets at a tenth times ``gain`` without, audio attention at half with 1e-4.

    Source: spec_talkinggaussian §3, spec_ernerf §5.
    """
    grids = list(field.encoder.parameters())  # type: ignore[union-attr, operator]
    attention = list(field.audio_attention_net.parameters())  # type: ignore[union-attr, operator]
    taken = {id(p) for p in grids + attention}
    nets = [p for p in field.parameters() if id(p) not in taken]
    return [
        {"params": grids, "lr": rate, "weight_decay": 0.01},
        {"params": nets, "lr": rate / 10 * gain, "weight_decay": 0.0},
        {"params": attention, "lr": rate / 2, "weight_decay": 1e-4},
    ]
