"""A training step of the face and a rendered frame on CUDA, beside the compiled kernels on the same machine's CPU.

``python benchmarks/on_cuda.py [--rounds 15] [--quick] [--json FILE]``

Steps and frames are those of ``iteration.py`` and ``render.py``. Also where the time of a step goes, and the tri-plane
encoder as it runs on CUDA without tinycudann, forward and backward, beside the same level by level. Times are wall times of
the host, which waits for the GPU at the end of each call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import contests
import iteration
import kernels
import render
import results
import timing
import workload

from bench.parts import Parts, recording
from methods.baselines.talkinggaussian.plugin import DESIGN
from methods.deformable.design import Design
from methods.deformable.fields import FaceField
from methods.fields.triplane import encode, encode_at_once

CPU, LEVELS = "compiled kernels on the CPU", "level by level"
_OURS = iteration.STACKS[contests.OURS]


def step(design: Design, n: int, size: int, device: str = "cuda") -> contests.Contest:
    """A step on both devices."""
    ours, peer = (iteration.Training(_OURS, design, n, size, where).step for where in (device, "cpu"))
    return contests.Contest("iteration", ours, {CPU: peer})


def parts(design: Design, n: int, size: int, steps: int) -> dict[str, float]:
    """Milliseconds a step by part, mean over ``steps``; waiting for the GPU at each part's ends makes them more in all."""
    training, found = iteration.Training(_OURS, design, n, size, "cuda"), Parts(torch.cuda.synchronize)
    training.step()
    with recording(found):
        found.stage("face")
        for _ in range(steps):
            training.step()
            found.steps(1)
    return {name: round(ms, 3) for name, ms in found.profile()["face"].milliseconds.items()}


def frame(n: int, size: int, device: str = "cuda") -> contests.Contest:
    """A frame of DEGSTalk on both devices, from conditioning to pixels in the host's memory."""
    given: Any = render.given_frame(workload.head(1, size).camera)  # instead of a Conditioning, which needs a subject

    def shown(where: str) -> contests.Run:
        made = render.renderer(n, where)
        return lambda: [torch.from_numpy(next(made.render([given])))]

    return contests.Contest("frame", shown(device), {CPU: shown("cpu")})


def encoder(n: int, device: str = "cuda") -> contests.Contest:
    """The face's encoder without tinycudann."""
    made = FaceField(DESIGN, workload.AUDIO[1], 5).encoder.to(device)
    points = workload.head(n, 64).means.to(device).requires_grad_()

    def run(how: Callable[..., Tensor]) -> contests.Run:
        def both_ways() -> Sequence[Tensor]:
            out = how(points, made.table, made.levels, made.bound)
            gradients = torch.autograd.grad(out.sum(), (points, made.table))
            if device == "cuda":
                torch.cuda.synchronize()
            return [out.detach(), *gradients]

        return both_ways

    return contests.Contest("encode", run(encode_at_once), {LEVELS: run(encode)})


def main() -> None:
    given = results.options(__doc__, "on_cuda", rounds=15).parse_args()
    timing.settle()
    cases: dict[str, Any] = {}
    with timing.setting(rounds=given.rounds, quick=given.quick, gpu=torch.cuda.get_device_name()) as setting:
        for n, size in iteration.SIZES[:1] if given.quick else iteration.SIZES:
            for design in iteration.DESIGNS:
                case = f"{design.name} {kernels.case(n, size)}"
                cases[case] = contests.measure([step(design, n, size)], given.rounds)
                cases[case]["iteration"]["parts"] = parts(design, n, size, 2 * given.rounds)
                results.show(case, cases[case])
                print("  parts", cases[case]["iteration"]["parts"])
            cases[kernels.case(n, size)] = contests.measure([frame(n, size), encoder(n)], given.rounds)
            results.show(kernels.case(n, size), cases[kernels.case(n, size)])
    results.write(given.json, {"script": "on_cuda", "setting": setting, "cases": cases})


if __name__ == "__main__":
    main()
