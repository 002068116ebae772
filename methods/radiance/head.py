"""Stage 1: the head over the torso's pixels, from random rays of one frame at a time (spec_ernerf §5, spec_synctalk §5)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.parts import part
from methods.fields import initial
from methods.fields.audio import AudioNet
from methods.fields.occupancy import OccupancyGrid
from methods.radiance import losses, rays
from methods.radiance.cells import open_cells
from methods.radiance.data import Box, Packed, TrainingData, colours
from methods.radiance.design import Design, Region, Schedule
from methods.radiance.field import Heard, RadianceField
from methods.radiance.render import Rendered, render
from methods.training.ema import Ema
from methods.training.stage import Stage, load_module, module_state, under, with_prefix

SMOOTH_EVERY = 16


class FieldStage(Stage):
    """A stage that trains the head's field: optimiser, occupancy grid, moving average."""

    def __init__(
        self,
        data: TrainingData,
        schedule: Schedule,
        field: RadianceField,
        grid: OccupancyGrid,
        optimizer: torch.optim.Optimizer,
        rates: list[float],
        ema: Ema,
        seed: int,
    ) -> None:
        super().__init__(seed, len(data.ids))
        self.data, self.schedule, self.field, self.grid = data, schedule, field, grid
        self.optimizer, self.rates, self.ema = optimizer, rates, ema
        self.last: Tensor | None = None

    @property
    def design(self) -> Design:
        """The method's switches."""
        return self.data.design

    def draw(self, it: int) -> int:
        return self.sampler.next()

    def fetch(self, it: int, position: int) -> None:
        self.data.fetch(position)

    def picture(self) -> Tensor | None:
        return self.last

    def tensors(self) -> dict[str, Tensor]:
        return {
            **module_state("field", self.field, self.optimizer),
            "grid.density": self.grid.density,
            **with_prefix("ema", self.ema.state()),
        }

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        on_device = {k: v.to(self.data.device) for k, v in tensors.items()}
        load_module("field", self.field, self.optimizer, on_device)
        self.grid.density.copy_(on_device["grid.density"])
        self.ema.load(under("ema", on_device))

    def set_rates(self, factor: float) -> None:
        """Multiply all learning rates, as they were given, by ``factor``."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def hear(self, packed: Packed, position: int) -> Heard:
        """What a training frame says; its upper-face inputs are moved a little where the design wants it."""
        upper_face = packed.upper_face
        if self.design.blink_jitter:
            shift = torch.rand(upper_face.shape, generator=self.generator) * 2 - 1
            upper_face = upper_face + shift * self.design.blink_jitter
        device = self.data.device
        return self.field.hear(packed.windows.to(device), upper_face.to(device), position)

    def look(self, packed: Packed, heard: Heard, pixels: Tensor) -> tuple[Rendered, Tensor]:
        """Render ``pixels`` [R] of a training frame; and their true colours [R,3]."""
        device = self.data.device
        with part("rays"):
            jitter = torch.rand(len(pixels), generator=self.generator).to(device)
            directions = rays.directions(packed.camera, pixels.to(device))
            background, target = (colours(p, pixels, device) for p in (packed.canvas, packed.image))
        rendered = render(
            self.field, heard, self.grid.occupied, rays.origin(packed.camera).to(device), directions, background,
            jitter=jitter, with_doubt=True,
        )  # fmt: skip
        return rendered, target

    def regions(self, packed: Packed, pixels: Tensor) -> dict[Region, Tensor]:
        """bool [R] each: which of a frame's ``pixels`` [R] lie in the boxes of the losses."""
        boxes: dict[Region, Box] = {"face": packed.face, "lower_face": packed.lower_face}
        return {name: rays.inside(pixels, self.data.width, box).to(self.data.device) for name, box in boxes.items()}

    def update_grid(self, heard: Heard) -> None:
        """Look where the field holds anything, as this frame has it."""
        with part("grid"), torch.no_grad():
            self.grid.update(lambda points: self.field.density(points, heard), self.generator)

    def learn(self, it: int, loss: Tensor) -> None:
        """Backward and optimiser step of iteration ``it`` of this stage."""
        with part("backward"):
            loss.backward()
        with part("optimise"):
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        if it % self.schedule.ema_every == 0:
            self.ema.update()


class HeadStage(FieldStage):
    """The first and longest stage."""

    name = "head"

    def __init__(self, data: TrainingData, schedule: Schedule, field: RadianceField, seed: int) -> None:
        grid = OccupancyGrid(schedule.grid_side, open_cells(data, schedule)).to(data.device)
        field = field.to(data.device)
        if schedule.hull and isinstance(field.audio_net, AudioNet):
            windows = torch.stack([torch.from_numpy(data.subject.frame(i).audio) for i in initial.spread(data.ids)])
            initial.standardise_audio(field.audio_net, windows.to(data.device))
        optimizer = torch.optim.AdamW(field.parameter_groups(schedule.gain), betas=(0.0, 0.99), eps=1e-8, fused=True)  # type: ignore[arg-type]
        rates = [group["lr"] for group in optimizer.param_groups]
        super().__init__(data, schedule, field, grid, optimizer, rates, Ema(field.parameters()), seed)
        self.total = schedule.head

    def step(self, it: int) -> dict[str, float]:
        done = (it - 1) / self.total
        self.set_rates(0.5**done)
        position = self.position(it)
        packed = self.data.frame(position)
        heard = self.hear(packed, position)
        if (it - 1) % self.schedule.grid_every == 0:
            self.update_grid(heard)
        pixels = self._pixels(packed)
        rendered, target = self.look(packed, heard, pixels)
        with part("loss"):
            loss = self._loss(it, done, packed, rendered, target, pixels)
        self.learn(it, loss)
        error = (rendered.colour.detach() - target).square().mean()
        return {"loss": float(loss.detach()), "psnr": float(-10 * error.clamp_min(1e-10).log10())}

    def _pixels(self, packed: Packed) -> Tensor:
        """[R] drawn with replacement, a part of them around the face and as many around the lips."""
        near, width = int(self.schedule.focus * self.schedule.rays), self.data.width
        every = width * self.data.height
        drawn = [torch.randint(every, (self.schedule.rays - 2 * near,), generator=self.generator)]
        for box in (packed.face, packed.lips) if near else ():
            around = rays.box_pixels(width, box)
            drawn.append(around[torch.randint(len(around), (near,), generator=self.generator)])
        return torch.cat(drawn)

    def _loss(self, it: int, done: float, packed: Packed, rendered: Rendered, target: Tensor, pixels: Tensor) -> Tensor:
        kinds, regions = self.design.losses, self.regions(packed, pixels)
        errors = losses.pixel_errors(kinds, rendered.colour, target)
        loss = losses.doubtful(kinds, errors, rendered, target, regions["face"], done).mean()
        loss = loss + kinds.entropy * losses.entropy(rendered.opacity)
        loss = loss + losses.attention(kinds, rendered, regions, done)
        if it % SMOOTH_EVERY == 0 and len(rendered.points):
            loss = loss + done * losses.smoothness(kinds, self.field, rendered, self.generator)
        return loss
