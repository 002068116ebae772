"""AD-NeRF behind the harness's contract."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from bench import threads
from bench.contract import Conditioning, MethodInfo, Preset, TrainTask
from bench.errors import DataError, RecordError
from bench.subject import Camera
from methods.baselines.adnerf.data import TrainingData
from methods.baselines.adnerf.design import PAPER, QUICK, STANDARD, Schedule
from methods.baselines.adnerf.head import HeadStage
from methods.baselines.adnerf.nets import AUDIO, POSE, Listener
from methods.baselines.adnerf.render import Layer, Pair, Span, camera_rays, look
from methods.baselines.adnerf.torso import TorsoStage, torso_condition
from methods.training import checkpoint as checkpoints
from methods.training.stage import load_module, module_state, read_tensors

_FORMAT = 1
_CHUNK = 1024
"""Rays rendered at once."""


@dataclass(frozen=True)
class Card:
    """What of a checkpoint is no weight."""

    channels: int
    scale: float
    span: Span
    still: tuple[float, ...]
    """World-to-camera matrix of the torso's camera, row by row."""


class AdNerf:
    """AD-NeRF, native."""

    schedules: Mapping[Preset, Schedule] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    info = MethodInfo(
        name="ad-nerf",
        title="AD-NeRF",
        summary="two radiance fields, head and torso, driven by sound; nothing of the test frame is shown",
        kind="NeRF",
        shrinks=frozenset({"quick", "standard"}),
        sees=frozenset({"pose", "audio"}),
        canvas="own:plate",
        paper="AD-NeRF: Audio Driven Neural Radiance Fields for Talking Head Synthesis, ICCV 2021",
        year=2021,
        original_licence="MIT",
        published={"psnr": 29.18, "lpips": 0.0963, "lmd": 2.888, "ssim": 0.7670, "train_hours": 18, "fps": 0.16},
    )

    def train(self, task: TrainTask) -> None:
        """Head, then torso; then ``model.safetensors`` + ``model.json`` in ``task.out``. Resumes what it finds there."""
        if not (task.out / "model.json").exists():
            self._train(task)

    def _train(self, task: TrainTask) -> None:
        torch.manual_seed(task.seed)
        schedule = self.schedules[task.preset]
        schedule = replace(
            schedule, head_rays=schedule.head_rays >> task.halvings, torso_rays=schedule.torso_rays >> task.halvings
        )
        data = TrainingData(task.subject, schedule, task.device)
        channels = int(task.subject.audio_features.shape[2])
        head = HeadStage(data, schedule, channels, task.seed)
        head.run(task.out, task.progress)
        torso = TorsoStage(data, schedule, head, task.seed + 1)
        torso.run(task.out, task.progress)
        tensors = {
            **module_state("head", head.pair, None),
            **module_state("listener", head.listener, None),
            **module_state("torso", torso.pair, None),
        }
        card = Card(channels, data.scale, data.span, tuple(torso.still.viewmat.reshape(-1).tolist()))
        facts = {"schedule": asdict(schedule), "seed": task.seed, "audio_kind": task.subject.audio_kind}
        described = {"format": _FORMAT, "method": "ad-nerf", **asdict(card), **facts}
        checkpoints.write(task.out, tensors, described, ("head", "torso"))

    def load(self, checkpoint: Path, device: str) -> AdNerfRenderer:
        """Open a checkpoint folder.

        Raises:
            RecordError: no finished checkpoint of AD-NeRF there.
        """
        path = checkpoint / "model.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            known = (found["format"], found.get("method")) == (_FORMAT, "ad-nerf")
            card = Card(found["channels"], found["scale"], Span(**found["span"]), tuple(found["still"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path} is not a finished checkpoint of ad-nerf ({error!r}); train again") from error
        if not known:
            raise RecordError(f"{path} holds a checkpoint of another method or version; train again")
        return AdNerfRenderer(card, checkpoint, device)


class AdNerfRenderer:
    """A trained model."""

    def __init__(self, card: Card, checkpoint: Path, device: str) -> None:
        self.card, self.device = card, device
        tensors = {k: v.to(device) for k, v in read_tensors(checkpoint / "model.safetensors").items()}
        self.head, self.torso = Pair(AUDIO).to(device).eval(), Pair(AUDIO + POSE).to(device).eval()
        self.listener = Listener(card.channels).to(device).eval()
        with checkpoints.fitting(checkpoint):
            for name, module in (("head", self.head), ("torso", self.torso), ("listener", self.listener)):
                load_module(name, module, None, tensors)
        self.still = np.array(card.still, np.float32).reshape(4, 4)

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.float32]]:
        """One RGB frame [H,W,3] per conditioning, 0…1."""
        for given in conditioning:
            with threads.one_torch_thread():
                frame = self.frame(given)
            yield frame

    @torch.no_grad()
    def frame(self, given: Conditioning) -> NDArray[np.float32]:
        """Render one frame: at the preset's resolution, enlarged over the full plate."""
        windows = torch.from_numpy(np.ascontiguousarray(given.audio)).to(self.device)
        if windows.shape[1] != self.card.channels:
            raise DataError(
                f"the checkpoint was trained on {self.card.channels} audio channels, the subject has {windows.shape[1]}"
            )
        camera = given.camera.scaled(self.card.scale)
        heard = self.listener(windows, attended=True)
        layer = self._layer(camera, heard, torso_condition(heard, given.camera))
        planes = torch.cat([layer.colour, layer.through[:, None]], 1).T.view(1, 4, camera.height, camera.width)
        (width, height), plate = given.size, torch.from_numpy(given.background.copy()).to(self.device).float() / 255
        if (height, width) != planes.shape[2:]:
            planes = F.interpolate(planes, (height, width), mode="bicubic", align_corners=False)
        planes = planes[0].permute(1, 2, 0)
        return (planes[..., :3] + planes[..., 3:].clamp(0, 1) * plate).clamp(0, 1).cpu().numpy()

    def _layer(self, camera: Camera, heard: torch.Tensor, condition: torch.Tensor) -> Layer:
        """Torso before head, along all rays of a frame."""
        still = Camera(
            camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, self.still
        )  # fmt: skip
        colours, through = [], []
        for pixels in torch.arange(camera.width * camera.height, device=self.device).split(_CHUNK):
            head = look(self.head, *camera_rays(camera, pixels), heard, self.card.span)[1]
            torso = look(self.torso, *camera_rays(still, pixels), condition, self.card.span)[1]
            colours.append(torso.over(head.colour))
            through.append(torso.through * head.through)
        return Layer(torch.cat(colours), torch.cat(through))
