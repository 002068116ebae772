"""Stage 2: the torso before the head (spec_adnerf §5). Its rays are always those of the first training frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.parts import part
from bench.subject import Camera
from methods.baselines.adnerf.data import TrainingData
from methods.baselines.adnerf.design import Schedule
from methods.baselines.adnerf.head import HeadStage
from methods.baselines.adnerf.nets import AUDIO, POSE, pose_code
from methods.baselines.adnerf.render import Pair, camera_rays, look
from methods.training.stage import Stage, load_module, module_state


def torso_condition(heard: Tensor, camera: Camera) -> Tensor:
    """[106] what the frame's sound [64] and its head pose say to the torso."""
    to_world = np.linalg.inv(camera.viewmat.astype(np.float64))
    to_world[:, 1:3] *= -1  # OpenGL axes
    return torch.cat([heard, pose_code(torch.from_numpy(to_world).float().to(heard.device))])


class TorsoStage(Stage):
    """Trains the torso's field in the composite; the head is not touched."""

    name = "torso"

    def __init__(self, data: TrainingData, schedule: Schedule, head: HeadStage, seed: int) -> None:
        super().__init__(seed, len(data.ids))
        self.data, self.schedule, self.head, self.total = data, schedule, head, schedule.torso
        self.pair = Pair(AUDIO + POSE).to(data.device)
        self.optimizer = torch.optim.Adam(self.pair.parameters(), lr=schedule.rate, fused=True)
        self.still = data.camera(data.ids[0])

    def draw(self, it: int) -> int:
        return self.sampler.next()

    def fetch(self, it: int, position: int) -> None:
        self.data.fetch(position)

    def step(self, it: int) -> dict[str, float]:
        data = self.data
        packed = data.frame(self.position(it))
        pixels = torch.randint(data.width * data.height, (self.schedule.torso_rays,), generator=self.generator)
        on_device = pixels.to(data.device)
        with torch.no_grad():
            heard = self.head.listener(packed.windows.to(data.device), attended=True)
            behind = look(self.head.pair, *camera_rays(packed.camera, on_device), heard, data.span, self.generator)
        condition = torso_condition(heard, packed.camera)
        still = camera_rays(self.still, on_device)
        layers = look(self.pair, *still, condition, data.span, self.generator, self.schedule.noise)
        with part("loss"):
            plate, target = data.colours(data.plate, pixels), data.colours(packed.whole, pixels)
            errors = [
                (torso.over(head.over(plate)) - target).square().mean()
                for torso, head in zip(layers, behind, strict=True)
            ]
            loss = errors[0] + errors[1]
        with part("backward"):
            loss.backward()
        with part("optimise"):
            self.optimizer.param_groups[0]["lr"] = self.schedule.rate * self.schedule.decay(it - 1, self.total)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return {"loss": float(loss.detach()), "psnr": float(-10 * errors[1].detach().clamp_min(1e-10).log10())}

    def tensors(self) -> dict[str, Tensor]:
        return module_state("torso", self.pair, self.optimizer)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module("torso", self.pair, self.optimizer, {k: v.to(self.data.device) for k, v in tensors.items()})
