"""Stage 1: the head over the plate (spec_adnerf §5)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.parts import part
from methods.baselines.adnerf.data import TrainingData
from methods.baselines.adnerf.design import Schedule
from methods.baselines.adnerf.nets import AUDIO, Listener
from methods.baselines.adnerf.render import Pair, camera_rays, look
from methods.training.stage import Stage, load_module, module_state

_IN_FACE = 0.95
"""Share of the rays inside the rectangle around the face."""
_ATTENTION_RATE = 5.0


class HeadStage(Stage):
    """Trains the head's field and the listener; from half way on with attention to neighbouring windows."""

    name = "head"

    def __init__(self, data: TrainingData, schedule: Schedule, channels: int, seed: int) -> None:
        super().__init__(seed, len(data.ids))
        self.data, self.schedule, self.total = data, schedule, schedule.head
        self.pair, self.listener = Pair(AUDIO).to(data.device), Listener(channels).to(data.device)
        self.optimizers = [
            torch.optim.Adam(list(p), lr=schedule.rate, fused=True)
            for p in (self.pair.parameters(), self.listener.net.parameters(), self.listener.attention.parameters())
        ]

    def draw(self, it: int) -> int:
        return self.sampler.next()

    def fetch(self, it: int, position: int) -> None:
        self.data.fetch(position)

    def step(self, it: int) -> dict[str, float]:
        data, schedule = self.data, self.schedule
        packed = data.frame(self.position(it))
        attended = it >= schedule.attention_from
        pixels = self._pixels(packed.inside, packed.outside)
        with part("audio"):
            condition = self.listener(packed.windows.to(data.device), attended)
        origin, directions = camera_rays(packed.camera, pixels.to(data.device))
        coarse, fine = look(self.pair, origin, directions, condition, data.span, self.generator, schedule.noise)
        with part("loss"):
            plate, target = data.colours(data.plate, pixels), data.colours(packed.head, pixels)
            error = (fine.over(plate) - target).square().mean()
            loss = error + (coarse.over(plate) - target).square().mean()
        with part("backward"):
            loss.backward()
        with part("optimise"):
            self._optimise(it, attended)
        return {"loss": float(loss.detach()), "psnr": float(-10 * error.detach().clamp_min(1e-10).log10())}

    def _pixels(self, inside: object, outside: object) -> Tensor:
        """Pixels [R], most of them in the face's rectangle."""
        wanted = int(self.schedule.head_rays * _IN_FACE)
        counts = (wanted, self.schedule.head_rays - wanted)
        drawn = []
        for pool, count in zip((inside, outside), counts, strict=True):
            values = torch.from_numpy(pool)  # type: ignore[arg-type]
            if len(values):
                drawn.append(values[torch.randint(len(values), (count,), generator=self.generator)])
        return torch.cat(drawn)

    def _optimise(self, it: int, attended: bool) -> None:
        rate = self.schedule.rate * self.schedule.decay(it - 1, self.total)
        for k, optimizer in enumerate(self.optimizers):
            attention = k == 2
            optimizer.param_groups[0]["lr"] = rate * _ATTENTION_RATE if attention else rate
            if attended or not attention:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        modules = (self.pair, self.listener.net, self.listener.attention)
        names = ("head", "listener.net", "listener.attention")
        states = (module_state(*each) for each in zip(names, modules, self.optimizers, strict=True))
        return {k: v for state in states for k, v in state.items()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        on_device = {k: v.to(self.data.device) for k, v in tensors.items()}
        modules = (self.pair, self.listener.net, self.listener.attention)
        names = ("head", "listener.net", "listener.attention")
        for each in zip(names, modules, self.optimizers, strict=True):
            load_module(*each, on_device)
