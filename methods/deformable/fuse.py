"""Stage C: both branches over the frame's canvas; colours are fine-tuned (spec_talkinggaussian §4.4, spec_degstalk §4.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.parts import part
from methods.deformable.branch import BranchStage, no_gradients
from methods.deformable.data import TrainingData
from methods.deformable.design import Fuse
from methods.deformable.fields import Encoded, FaceField, MouthField
from methods.deformable.render import composite, draw
from methods.gaussians.cloud import GaussianCloud
from methods.ssim import l1_dssim
from methods.training.perceptual import PatchLoss
from methods.training.stage import Stage, module_state, under, with_prefix

_COLOURS = {"f_dc", "f_rest"}


class FuseStage(Stage):
    """Fine-tunes both clouds' colours on whole frames, and unless ``colours_only`` the face's opacity and the mouth's embedding."""

    name = "fuse"

    def __init__(
        self,
        data: TrainingData,
        schedule: Fuse,
        mouth: BranchStage,
        face: BranchStage,
        perceptual: PatchLoss | None,
        seed: int,
    ) -> None:
        super().__init__(seed, len(data.ids))
        self.data, self.schedule, self.perceptual = data, schedule, perceptual
        self.total = schedule.iterations
        assert isinstance(mouth.field, MouthField)
        assert isinstance(face.field, FaceField)
        self.mouth_field, self.face_field = mouth.field.eval(), face.field.eval()
        no_gradients(self.mouth_field)
        no_gradients(self.face_field)
        self._adopt(mouth.cloud, face.cloud)
        self.last: Tensor | None = None

    def _adopt(self, mouth: GaussianCloud, face: GaussianCloud) -> None:
        self.mouth, self.face = mouth, face
        alone = self.data.design.colours_only
        self.mouth.trainable(_COLOURS if alone else _COLOURS | {"embedding"})
        self.face.trainable(_COLOURS if alone else _COLOURS | {"opacity"})
        self._face_encoded: Encoded | None = None

    def draw(self, it: int) -> int:
        return self.sampler.next()

    def fetch(self, it: int, position: int) -> None:
        self.data.fetch(self.data.ids[position], half=False, canvas=True)

    def step(self, it: int) -> dict[str, float]:
        frame_id = self.data.ids[self.position(it)]
        sample, canvas = self.data.sample(frame_id, half=False), self.data.canvas(frame_id)
        design, drivers = self.data.design, sample.drivers
        if self._face_encoded is None:  # the face's geometry no longer changes
            self._face_encoded = self.face_field.encode(self.face.xyz, self.face.embedding)
        with torch.no_grad():
            face_motion = self.face_field(self._face_encoded, drivers.windows, drivers.expression, drivers.direct)
        mouth_motion, _ = self.mouth_field(
            self.mouth_field.encode(self.mouth.xyz, self.mouth.embedding), drivers.windows
        )
        image = composite(
            draw(self.face, sample.view, face_motion), draw(self.mouth, sample.view, mouth_motion), canvas
        )

        target = sample.target()
        with part("loss"):
            loss = l1_dssim(image, target, design.dssim)
        if it > self.schedule.lpips_from and self.perceptual is not None:
            loss = loss + design.lpips * self.perceptual.patches(image, target, (32, 42), self.generator)
        with part("backward"):
            loss.backward()
        with part("optimise"):
            for cloud in (self.face, self.mouth):
                cloud.optimizer.step()
                cloud.optimizer.zero_grad(set_to_none=True)
        self.last = image
        return {"loss": float(loss.detach()), "gaussians": float(len(self.face) + len(self.mouth))}

    def picture(self) -> Tensor | None:
        return self.last

    def tensors(self) -> dict[str, Tensor]:
        return {**with_prefix("mouth", self.mouth.state()), **with_prefix("face", self.face.state())}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        on_device = {k: v.to(self.data.device) for k, v in tensors.items()}
        self._adopt(
            GaussianCloud.from_state(under("mouth", on_device)), GaussianCloud.from_state(under("face", on_device))
        )

    def model(self) -> dict[str, Tensor]:
        """What rendering needs: raw Gaussians and fields, no optimiser state."""
        keep = {
            k: v
            for k, v in self.tensors().items()
            if ".raw." in k or k.endswith((".extent", ".active_degree", ".statistics"))
        }
        return {
            **keep,
            **module_state("mouth_field", self.mouth_field, None),
            **module_state("face_field", self.face_field, None),
        }
