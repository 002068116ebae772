"""Frames per second of a trained DEGSTalk, from conditioning to a picture, and against torch around the compiled rasteriser.

``python benchmarks/render.py [--rounds 15] [--quick] [--json FILE]``

The model is random but as large as the ``standard`` preset lets it grow: face and half as many Gaussians again for the
mouth. Ours is the method's own ``GaussianRenderer``, read from a checkpoint. What depends on the Gaussians only is computed
once on both sides.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import contests
import kernels
import peers
import results
import timing
import workload

from bench.subject import Camera
from methods.deformable.fields import FaceField, MouthField
from methods.deformable.plugin import GaussianRenderer, Widths
from methods.deformable.render import BLACK, composite
from methods.deformable.sample import Drivers, View
from methods.degstalk.plugin import DESIGN
from methods.training.stage import module_state, with_prefix

SIZES = ((5_000, 128), (10_000, 256), (20_000, 512))
REAL_TIME = "video at 25 frames/s"
_PERIOD = 40.0


@dataclass(frozen=True)
class Given:
    """What :class:`bench.contract.Conditioning` would give of a test frame."""

    camera: Camera
    audio: NDArray[np.float32]
    expression: NDArray[np.float32]
    eyelid: NDArray[np.float32]
    hair_canvas: NDArray[np.uint8]


def given_frame(camera: Camera) -> Given:
    """Random audio, expression and canvas."""
    drivers = workload.drivers(DESIGN)
    canvas = np.random.default_rng(9).integers(0, 256, (camera.height, camera.width, 3), np.uint8)
    return Given(camera, drivers.windows.numpy(), drivers.expression.numpy(), drivers.direct.numpy(), canvas)


def model(n: int) -> dict[str, Tensor]:
    """A checkpoint's tensors: ``n`` Gaussians in the face, n/2 in the mouth, random nets."""
    face, mouth = workload.head(n, 64), workload.head(n // 2, 64)
    for tensor in (mouth.means, mouth.scales):
        tensor.mul_(0.2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fields = FaceField(DESIGN, workload.AUDIO[1], workload.EXPRESSION), MouthField(DESIGN, workload.AUDIO[1])
    tensors = {**module_state("face_field", fields[0], None), **module_state("mouth_field", fields[1], None)}
    for name, scene in (("face", face), ("mouth", mouth)):
        tensors |= with_prefix(name, workload.cloud(scene, DESIGN.embedding).state())
    return tensors


def renderer(n: int, device: str = "cpu") -> GaussianRenderer:
    """The method's renderer of that model."""
    with tempfile.TemporaryDirectory() as folder:
        save_file(model(n), Path(folder) / "model.safetensors")
        return GaussianRenderer(DESIGN, Widths(workload.AUDIO[1], workload.EXPRESSION), Path(folder), device)


@torch.no_grad()
def frame_in_torch(ours: GaussianRenderer, given: Given) -> NDArray[np.float32]:
    """:meth:`GaussianRenderer.frame` with torch around the compiled rasteriser."""
    drivers, view = Drivers.of(DESIGN, given, "cpu"), View.of(given.camera, "cpu")
    canvas = torch.from_numpy(given.hair_canvas.transpose(2, 0, 1).copy()).float() / 255
    face = peers.draw(ours.face, view, peers.move_face(ours.face_field, ours.face_encoded, drivers), BLACK)
    mouth = peers.draw(ours.mouth, view, peers.move_mouth(ours.mouth_field, ours.mouth_encoded, drivers), BLACK)
    image = composite(face, mouth, canvas)
    return image.clamp(0, 1).permute(1, 2, 0).contiguous().numpy()


def contest(n: int, size: int) -> contests.Contest:
    """Our frame and the peer's."""
    made = renderer(n)
    given: Any = given_frame(workload.head(1, size).camera)  # instead of a Conditioning, which needs a subject
    return contests.Contest(
        "frame",
        lambda: [torch.from_numpy(next(made.render([given])))],
        {"good torch": lambda: [torch.from_numpy(frame_in_torch(made, given))]},
    )


def measure(n: int, size: int, rounds: int) -> dict[str, Any]:
    """Milliseconds and ratios; the one to real time is no paired ratio but a frame's 40 ms over ours."""
    found = contests.measure([contest(n, size)], rounds)
    ours = found["frame"]["milliseconds"][contests.OURS]
    pace = {"median": _PERIOD / ours["median"], "low": _PERIOD / ours["high"], "high": _PERIOD / ours["low"]}
    found["frame"]["ratios"][REAL_TIME] = {name: float(f"{value:.4g}") for name, value in pace.items()}
    return found


def main() -> None:
    given = results.options(__doc__, "render", rounds=15).parse_args()
    timing.settle()
    cases = {}
    with timing.setting(rounds=given.rounds, quick=given.quick) as setting:
        for n, size in SIZES[:1] if given.quick else SIZES:
            cases[kernels.case(n, size)] = found = measure(n, size, given.rounds)
            results.show(kernels.case(n, size), found)
            print(f"  {1e3 / found['frame']['milliseconds'][contests.OURS]['median']:.0f} frames/s")
    results.write(given.json, {"script": "render", "setting": setting, "cases": cases})


if __name__ == "__main__":
    main()
