"""Stage 3: the torso as a picture that moves with the head's pose ("adaptive pose encoding", spec_ernerf §3.3).

No sound and no expression reaches it. The head is not touched.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bench.parts import part
from bench.subject import Camera
from methods.fields.encodings import frequency
from methods.fields.hashgrid import TiledGrid2
from methods.fields.mlp import Mlp
from methods.radiance import rays
from methods.radiance.data import TrainingData, colours
from methods.radiance.design import Schedule
from methods.training.stage import Stage, load_module, module_state

_SHRINK, _PIXEL_OCTAVES, _POSE_OCTAVES, _CODE = 0.8, 8, 3, 8
_PIXEL_WIDTH, _POSE_WIDTH = 2 * (1 + 2 * _PIXEL_OCTAVES), 6 * (1 + 2 * _POSE_OCTAVES)
_ANCHORS = ((0.01, 0.01, 0.1, 1.0), (-0.1, -0.1, 0.1, 1.0), (0.1, -0.1, 0.1, 1.0))


class TorsoField(nn.Module):
    """Pixel and head pose → colour and opacity.

    :param frames: training frames, each with a code of its own
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        width = _PIXEL_WIDTH + _POSE_WIDTH + _CODE
        self.anchors = nn.Parameter(torch.tensor(_ANCHORS))
        self.codes = nn.Parameter(torch.randn(frames, _CODE) * 0.1)
        self.deform = Mlp(width, 32, 32, 2)
        self.grid = TiledGrid2(16, 16, 2048, 16, channels=2)
        self.net = Mlp(self.grid.width + width, 32, 32, 4)

    def forward(self, places: Tensor, camera: Camera, frame: int = 0) -> tuple[Tensor, Tensor]:
        """Colours [R,3] and opacities [R] at ``places`` [R,2] (row, column in [-1, 1])."""
        pose = frequency(self.pose(camera), _POSE_OCTAVES)
        constant = torch.cat([pose, self.codes[frame]]).expand(len(places), -1)
        x = places * _SHRINK
        given = torch.cat([frequency(x, _PIXEL_OCTAVES), constant], 1)
        moved = (x + self.deform(given)).clamp(-1, 1)
        out = torch.sigmoid(self.net(self.grid(moved), given)) * 1.002 - 0.001
        return out[:, 1:], out[:, 0]

    def pose(self, camera: Camera) -> Tensor:
        """[6] where the anchors are seen, over their depth."""
        to_field = np.eye(4)
        to_field[:3] = np.linalg.inv(camera.viewmat.astype(np.float64))[:3][[1, 2, 0]]
        to_field[:3, 3] *= rays.SCALE
        to_camera = torch.from_numpy(np.linalg.inv(to_field)).float().to(self.anchors.device)
        seen = self.anchors @ to_camera.T
        return (seen[:, :2] / seen[:, 3:] / seen[:, 2:3]).reshape(-1)

    def over(self, background: Tensor, places: Tensor, camera: Camera, frame: int = 0) -> Tensor:
        """[R,3] the torso over ``background`` [R,3]."""
        colour, opacity = self(places, camera, frame)
        return colour * opacity[:, None] + background * (1 - opacity[:, None])

    def parameter_groups(self) -> list[dict[str, object]]:
        """AdamW groups: the grid with AdamW's default decay, the rest without."""
        grid = list(self.grid.parameters())
        rest = [p for p in self.parameters() if all(p is not g for g in grid)]
        return [{"params": grid, "lr": 1e-2, "weight_decay": 0.01}, {"params": rest, "lr": 1e-3, "weight_decay": 0.0}]


class TorsoStage(Stage):
    """Learns the torso's canvas of random training frames."""

    name = "torso"

    def __init__(self, data: TrainingData, schedule: Schedule, field: TorsoField, seed: int) -> None:
        super().__init__(seed, len(data.ids))
        self.data, self.schedule, self.field = data, schedule, field.to(data.device)
        self.total = schedule.torso
        self.optimizer = torch.optim.AdamW(field.parameter_groups(), betas=(0.0, 0.99), eps=1e-8, fused=True)  # type: ignore[arg-type]
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def draw(self, it: int) -> int:
        return self.sampler.next()

    def fetch(self, it: int, position: int) -> None:
        self.data.fetch(position)

    def tensors(self) -> dict[str, Tensor]:
        return module_state("torso", self.field, self.optimizer)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module("torso", self.field, self.optimizer, {k: v.to(self.data.device) for k, v in tensors.items()})

    def step(self, it: int) -> dict[str, float]:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * 0.5 ** ((it - 1) / self.total)
        position, data = self.position(it), self.data
        packed = data.frame(position)
        pixels = torch.randint(data.width * data.height, (self.schedule.rays,), generator=self.generator)
        plate, target = (colours(p, pixels, data.device) for p in (data.plate, packed.canvas))
        places = rays.plane_coordinates(pixels, data.width, data.height).to(data.device)
        with part("torso"):
            shown = self.field.over(plate, places, packed.camera, position)
            loss = (shown - target).square().mean() + (1 - self.field.anchors[:, 3]).square().mean()
        with part("backward"):
            loss.backward()
        with part("optimise"):
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return {"loss": float(loss.detach())}
