"""The methods' plugin: a design and its presets behind the harness's contract."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench import threads
from bench.contract import Conditioning, MethodInfo, Preset, TrainTask
from bench.errors import BenchWarning, DataError, RecordError, UsageError
from bench.inspection import Inspection, InspectTask
from bench.variants import Variant
from methods.backends import backends
from methods.deformable.data import TrainingData
from methods.deformable.design import PAPER, QUICK, STANDARD, Design, Schedule
from methods.deformable.face import FaceStage
from methods.deformable.fields import FaceField, MouthField
from methods.deformable.fuse import FuseStage
from methods.deformable.mouth import MouthStage
from methods.deformable.render import composite, draw
from methods.deformable.sample import Drivers, View
from methods.gaussians.cloud import GaussianCloud
from methods.training import checkpoint as checkpoints
from methods.training.perceptual import PatchLoss
from methods.training.stage import load_module, read_tensors, under
from methods.training.variants import varied

_FORMAT = 2


@dataclass(frozen=True)
class Widths:
    """Input widths of the fields; they depend on the subject."""

    audio_channels: int
    expression: int


class DeformableGaussians:
    """A method made of a :class:`~methods.deformable.design.Design` and a schedule a preset."""

    info: MethodInfo
    design: Design
    switches: Mapping[str, Mapping[str, Any]] = {}
    """Fields of the design that each of ``info``'s factors (left out) and readings changes."""
    schedules: Mapping[Preset, Schedule] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}

    def variant(self, variant: Variant) -> DeformableGaussians:
        """The same with its design changed."""
        changed = varied(self, variant)
        if not (changed.design.hair_canvas or changed.design.rim):
            raise UsageError(f"{self.design.name}[{variant}]: without hair in the canvas there is no rim to leave out")
        return changed

    def libraries(self, device: str) -> dict[str, str]:
        """What rasterises, encodes and decodes on ``device``."""
        return backends(device, "rasteriser", "grid", "mlp")

    def train(self, task: TrainTask) -> None:
        """Mouth, face, fuse; then ``model.safetensors`` + ``model.json`` in ``task.out``. Resumes what it finds there."""
        if not (task.out / "model.json").exists():
            with threads.one_torch_thread():
                self._train(task)

    def _train(self, task: TrainTask) -> None:
        torch.manual_seed(task.seed)
        schedule = self.schedules[task.preset]
        data = TrainingData(task.subject, self.design, task.device)
        if self.design.shape and not task.subject.coefficients.shape.shape[1]:
            warnings.warn(f"{task.subject.name} has no shape coefficients: trained without", BenchWarning, stacklevel=2)
        widths = Widths(data.audio_channels, data.expression_width)
        perceptual, lpips_state = PatchLoss.load(task.device)
        mouth_field = MouthField(self.design, widths.audio_channels)
        face_field = FaceField(self.design, widths.audio_channels, widths.expression)
        mouth = MouthStage(data, schedule.mouth, mouth_field, perceptual, task.seed)
        mouth.run(task.out, task.progress)
        face = FaceStage(data, schedule.face, face_field, perceptual, task.seed + 1)
        face.run(task.out, task.progress)
        fuse = FuseStage(data, schedule.fuse, mouth, face, perceptual, task.seed + 2)
        if self.design.fusion:
            fuse.run(task.out, task.progress)
        self._write(task, fuse, widths, lpips_state)

    def load(self, checkpoint: Path, device: str) -> GaussianRenderer:
        """Open a checkpoint folder.

        Raises:
            RecordError: no finished checkpoint there, or one of another method.
        """
        path = checkpoint / "model.json"
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            widths = Widths(**card["widths"])
            found = (card["format"], Design(**card["design"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path} is not a finished checkpoint ({error!r}); train again") from error
        if found != (_FORMAT, self.design):
            differing = [k for k, v in asdict(self.design).items() if v != getattr(found[1], k)]
            raise RecordError(
                f"{path} holds a checkpoint of {found[1].name!r}, not of this {self.design.name!r}: it differs in "
                f"{', '.join(differing) or 'its format'}; load it as the variant that it was trained as"
            )
        return GaussianRenderer(self.design, widths, checkpoint, device)

    def inspect(self, task: InspectTask) -> Inspection:
        """Clouds, maps, sizes, motion and embedding of a checkpoint."""
        from methods.deformable.inspect import inspect_checkpoint

        return inspect_checkpoint(self.load(task.checkpoint, task.device), task)

    def _write(self, task: TrainTask, fuse: FuseStage, widths: Widths, lpips_state: str) -> None:
        """See :func:`methods.training.checkpoint.write`."""
        card = {
            "format": _FORMAT,
            "design": asdict(self.design),
            "schedule": asdict(self.schedules[task.preset]),
            "widths": asdict(widths),
            "seed": task.seed,
            "audio_kind": task.subject.audio_kind,
            "gaussians": {"face": len(fuse.face), "mouth": len(fuse.mouth)},
            "lpips_loss": lpips_state,
        }
        checkpoints.write(task.out, fuse.model(), card, ("mouth", "face", "fuse"))


class GaussianRenderer:
    """A trained model. What depends on the Gaussians only is computed once, here."""

    def __init__(self, design: Design, widths: Widths, checkpoint: Path, device: str) -> None:
        self.design, self.widths, self.device = design, widths, device
        tensors = {k: v.to(device) for k, v in read_tensors(checkpoint / "model.safetensors").items()}
        self.mouth_field = MouthField(design, widths.audio_channels).to(device).eval()
        self.face_field = FaceField(design, widths.audio_channels, widths.expression).to(device).eval()
        with checkpoints.fitting(checkpoint):
            load_module("mouth_field", self.mouth_field, None, tensors)
            load_module("face_field", self.face_field, None, tensors)
            self.mouth = GaussianCloud.from_state(under("mouth", tensors))
            self.face = GaussianCloud.from_state(under("face", tensors))
        for cloud in (self.mouth, self.face):
            cloud.trainable(set())
        with torch.no_grad():
            self.mouth_encoded = self.mouth_field.encode(self.mouth.xyz, self.mouth.embedding)
            self.face_encoded = self.face_field.encode(self.face.xyz, self.face.embedding)

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.float32]]:
        """One RGB frame [H,W,3] per conditioning, 0…1."""
        for given in conditioning:
            with threads.one_torch_thread():
                frame = self.frame(given)
            yield frame

    @torch.no_grad()
    def frame(self, given: Conditioning) -> NDArray[np.float32]:
        """Render one frame."""
        drivers = Drivers.of(self.design, given, self.device)
        if drivers.windows.shape[1] != self.widths.audio_channels:
            raise DataError(
                f"the checkpoint was trained on {self.widths.audio_channels} audio channels, the subject has {drivers.windows.shape[1]}"
            )
        view = View.of(given.camera, self.device)
        picture = getattr(given, self.design.canvas)
        canvas = torch.from_numpy(picture.transpose(2, 0, 1).copy()).to(self.device).float() / 255
        face_motion = self.face_field(self.face_encoded, drivers.windows, drivers.expression, drivers.direct)
        mouth_motion, _ = self.mouth_field(self.mouth_encoded, drivers.windows)
        image = composite(draw(self.face, view, face_motion), draw(self.mouth, view, mouth_motion), canvas)
        return image.clamp(0, 1).permute(1, 2, 0).contiguous().cpu().numpy()
