"""How long each preset trains, and at which resolution (spec_adnerf §4, §5)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A preset. Every one has both fields, coarse and fine sampling, attention and composite."""

    head: int
    """Iterations of the head."""
    torso: int
    """Iterations of the torso."""
    head_rays: int
    torso_rays: int
    """Rays an iteration."""
    coarse: int
    fine: int
    """Samples a ray: evenly spread, and further ones where the coarse field is dense."""
    before: float
    behind: float
    """Where a ray is sampled: from so far before the head's centre to so far behind it, scene units (about metres)."""
    side: int = 0
    """Width of the frames that are trained on and rendered, pixels; 0: the subject's own. Smaller ones are enlarged over the
    full plate."""
    rate: float = 5e-4
    """Learning rate at the start."""
    noise: float = 0.0
    """Standard deviation of noise on densities in training (short presets; the official code's raw_noise_std). Where they are
    all below the ReLU's zero, a field learns nothing without it."""

    @property
    def attention_from(self) -> int:
        """The head's iteration from which neighbouring windows are attended to: half way."""
        return self.head // 2

    def decay(self, it: int, total: int) -> float:
        """Factor of the learning rate at iteration ``it``: 0.1 after five eighths of the training (250,000 of 400,000)."""
        return 0.1 ** (it / (0.625 * total))


PAPER = Schedule(
    head=400_000, torso=400_000, head_rays=2_048, torso_rays=1_024, coarse=64, fine=128, before=0.2, behind=0.4
)  # fmt: skip
STANDARD = Schedule(
    head=4_000, torso=2_000, head_rays=256, torso_rays=256, coarse=12, fine=12, before=0.16, behind=0.16, side=80, rate=1e-3,
    noise=10.0,
)  # fmt: skip
QUICK = Schedule(
    head=1_600, torso=400, head_rays=64, torso_rays=64, coarse=6, fine=6, before=0.16, behind=0.16, side=44, rate=1e-3,
    noise=10.0,
)  # fmt: skip
