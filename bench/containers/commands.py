"""The commands of a program, made from its TOML: which words, which mounts, which limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import weights
from bench.containers import inputs, template
from bench.containers.spec import Spec, Stage
from bench.containers.step import Mount, Step

OUT, CHECKPOINT = "/bench/out", "/bench/checkpoint"
"""Where these are in a container."""


@dataclass(frozen=True)
class Places:
    """Folders of the host that a command is given."""

    data: Path
    out: Path
    checkpoint: Path | None = None
    """None while training: it is ``out``."""


def training(spec: Spec, stage: Stage, places: Places, preset: str, seed: int, device: str) -> Step:
    """The command of a stage."""
    values = _values(spec, places, preset, seed, device)
    return _step(spec, f"stage {stage.stage!r}", stage.run, values, places, stage.steps)


def rendering(spec: Spec, places: Places, preset: str, seed: int, device: str, ids: Sequence[int]) -> Step:
    """The command that renders the frames ``ids``."""
    values = _values(spec, places, preset, seed, device)
    values |= {"ids": f"{values['data']}/{inputs.IDS}", "first_id": ids[0], "count": len(ids)}
    return _step(spec, "rendering", spec.render.run, values, places)


def _step(spec: Spec, name: str, run: str, values: dict[str, object], places: Places, steps: str = "") -> Step:
    return Step(
        name=name,
        command=tuple(template.fill(run, values)),
        seconds=spec.limits.hours * 3600,
        disk=spec.limits.disk,
        grows=(places.out, *((places.data,) if spec.inputs.writable else ())),
        mounts=tuple(_mounts(spec, places)) if spec.image else (),
        steps=steps,
    )


def _values(spec: Spec, places: Places, preset: str, seed: int, device: str) -> dict[str, object]:
    folders: dict[str, object] = {"data": places.data, "out": places.out, "checkpoint": places.checkpoint}
    if spec.image:
        folders = {"data": spec.inputs.at, "out": OUT, "checkpoint": CHECKPOINT}
    return {**spec.variables(preset), **folders, "preset": preset, "seed": seed, "device": device}


def _mounts(spec: Spec, places: Places) -> list[Mount]:
    mounts = [
        Mount(places.data.absolute(), spec.inputs.at, spec.inputs.writable),
        Mount(places.out.absolute(), OUT, writable=True),
    ]
    if places.checkpoint:
        mounts.append(Mount(places.checkpoint.absolute(), CHECKPOINT))
    return mounts + [Mount(weights.get(name).path.absolute(), at) for name, at in spec.inputs.weights.items()]
