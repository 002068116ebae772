"""The methods' plugin: a design and its presets behind the harness's contract."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import threads
from bench.contract import Conditioning, MethodInfo, Preset, TrainTask
from bench.errors import DataError, RecordError
from bench.variants import Variant
from methods.backends import backends
from methods.fields.occupancy import OccupancyGrid
from methods.radiance import rays
from methods.radiance.data import TrainingData, drivers
from methods.radiance.design import Design, Schedule
from methods.radiance.field import RadianceField
from methods.radiance.head import HeadStage
from methods.radiance.lips import LipsStage
from methods.radiance.render import render
from methods.radiance.torso import TorsoField, TorsoStage
from methods.training import checkpoint as checkpoints
from methods.training.perceptual import PatchLoss
from methods.training.stage import load_module, module_state, read_tensors
from methods.training.variants import varied

_FORMAT = 1
_CHUNK = 2**15
"""Rays rendered at once."""


@dataclass(frozen=True)
class Shape:
    """What of a model depends on the subject and the preset."""

    audio_form: tuple[int, int]
    frames: int
    grid_side: int


class RadianceMethod:
    """A method made of a :class:`~methods.radiance.design.Design` and a schedule a preset."""

    info: MethodInfo
    design: Design
    schedules: Mapping[Preset, Schedule]
    switches: Mapping[str, Mapping[str, Any]] = {}
    """Fields of the design that each of ``info``'s factors (left out) and readings changes."""

    def variant(self, variant: Variant) -> RadianceMethod:
        """The same with its design changed."""
        return varied(self, variant)

    def libraries(self, device: str) -> dict[str, str]:
        """What encodes, decodes and composites on ``device``."""
        return backends(device, "grid", "mlp", "volume")

    def train(self, task: TrainTask) -> None:
        """Head, lips, and the torso of a design that has one; then ``model.safetensors`` + ``model.json`` in ``task.out``."""
        if not (task.out / "model.json").exists():
            with threads.one_torch_thread():
                self._train(task)

    def _train(self, task: TrainTask) -> None:
        torch.manual_seed(task.seed)
        schedule = self.schedules[task.preset]
        schedule = replace(schedule, rays=schedule.rays >> task.halvings)
        data = TrainingData(task.subject, self.design, task.device)
        shape = Shape(data.audio_form, len(data.ids), schedule.grid_side)
        perceptual, lpips_state = PatchLoss.load(task.device)
        head = HeadStage(data, schedule, RadianceField(self.design, shape.audio_form, shape.frames), task.seed)
        head.run(task.out, task.progress)
        LipsStage(head, perceptual, task.seed + 1).run(task.out, task.progress)
        torso = TorsoField(shape.frames) if self.design.torso else None
        if torso is not None:
            TorsoStage(data, schedule, torso, task.seed + 2).run(task.out, task.progress)
        self._write(task, _model(head, torso, self.design), shape, lpips_state)

    def _write(self, task: TrainTask, tensors: dict[str, Tensor], shape: Shape, lpips_state: str) -> None:
        """See :func:`methods.training.checkpoint.write`."""
        card = {
            "format": _FORMAT,
            "design": asdict(self.design),
            "schedule": asdict(self.schedules[task.preset]),
            "shape": asdict(shape),
            "seed": task.seed,
            "audio_kind": task.subject.audio_kind,
            "lpips_loss": lpips_state,
        }
        checkpoints.write(task.out, tensors, card, ("head", "lips", "torso"))

    def load(self, checkpoint: Path, device: str) -> RadianceRenderer:
        """Open a checkpoint folder.

        Raises:
            RecordError: no finished checkpoint there, or one of another method or variant.
        """
        path = checkpoint / "model.json"
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            (channels, length), found = card["shape"]["audio_form"], (card["format"], card["design"])
            shape = Shape((channels, length), card["shape"]["frames"], card["shape"]["grid_side"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path} is not a finished checkpoint ({error!r}); train again") from error
        if found != (_FORMAT, asdict(self.design)):
            raise RecordError(
                f"{path} holds a checkpoint of another design than this {self.design.name!r}; load it as the method and "
                "variant that it was trained as"
            )
        return RadianceRenderer(self.design, shape, checkpoint, device)


def _model(head: HeadStage, torso: TorsoField | None, design: Design) -> dict[str, Tensor]:
    """What rendering needs: weights (or their average), the occupancy grid, no optimiser state."""
    state = module_state("field", head.field, None)
    if design.ema:
        names = [f"field.param.{name}" for name, _ in head.field.named_parameters()]
        state |= dict(zip(names, head.ema.shadow, strict=True))
    return state | {"grid.density": head.grid.density} | (module_state("torso", torso, None) if torso else {})


class RadianceRenderer:
    """A trained model."""

    def __init__(self, design: Design, shape: Shape, checkpoint: Path, device: str) -> None:
        self.design, self.shape, self.device = design, shape, device
        tensors = {k: v.to(device) for k, v in read_tensors(checkpoint / "model.safetensors").items()}
        self.field = RadianceField(design, shape.audio_form, shape.frames).to(device).eval()
        self.torso = TorsoField(shape.frames).to(device).eval() if design.torso else None
        grid = OccupancyGrid(shape.grid_side).to(device)
        with checkpoints.fitting(checkpoint):
            load_module("field", self.field, None, tensors)
            grid.density.copy_(tensors["grid.density"])
            if self.torso is not None:
                load_module("torso", self.torso, None, tensors)
        self.occupied = grid.occupied

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.float32]]:
        """One RGB frame [H,W,3] per conditioning, 0…1."""
        for given in conditioning:
            with threads.one_torch_thread():
                frame = self.frame(given)
            yield frame

    @torch.no_grad()
    def frame(self, given: Conditioning) -> NDArray[np.float32]:
        """Render one frame."""
        windows = torch.from_numpy(np.ascontiguousarray(given.audio)).to(self.device)
        if tuple(windows.shape[1:]) != self.shape.audio_form:
            raise DataError(
                f"the checkpoint was trained on audio windows {self.shape.audio_form}, the subject's are {tuple(windows.shape[1:])}"
            )
        camera, (width, height) = given.camera, given.size
        heard = self.field.hear(windows, drivers(given, self.design).to(self.device))
        origin = rays.origin(camera).to(self.device)
        rows = []
        for pixels in torch.arange(width * height, device=self.device).split(_CHUNK):
            background = self._background(given, pixels)
            directions = rays.directions(camera, pixels)
            rows.append(render(self.field, heard, self.occupied, origin, directions, background).colour)
        image = torch.cat(rows).view(height, width, 3).cpu().numpy()
        return self._pasted(image, given) if self.design.portrait else image

    def _background(self, given: Conditioning, pixels: Tensor) -> Tensor:
        """[R,3] what the head is drawn over."""
        picture = given.background if self.torso is not None else given.torso_canvas
        plate = torch.from_numpy(picture.reshape(-1, 3).copy()).to(self.device)[pixels].float() / 255
        if self.torso is None:
            return plate
        return self.torso.over(plate, rays.plane_coordinates(pixels, *given.size), given.camera)

    @staticmethod
    def _pasted(image: NDArray[np.float32], given: Conditioning) -> NDArray[np.float32]:
        """The face onto the test frame (spec_synctalk §4.2)."""
        share = given.portrait_weights[..., None].astype(np.float32) / 255
        return (image * share + given.portrait_canvas.astype(np.float32) / 255).clip(0, 1)
