"""What a program's cell would do, told without doing it: the build, each command with its mounts and limits, what is expected."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import threads
from bench.containers import commands, engine, image
from bench.containers.method import PREFIX, Program, gpus
from bench.containers.spec import TALKBENCH
from bench.containers.step import Confinement, Step
from bench.subject import Subject


@dataclass(frozen=True)
class Planned:
    """One command."""

    step: str
    """``build``, ``stage 'head'`` or ``rendering``."""
    command: tuple[str, ...]


@dataclass(frozen=True)
class ProgramPlan:
    """A cell of a program."""

    program: str
    """``er-nerf@official``."""
    notice: str
    code: str
    """Whose code it is: address and commit, licence."""
    inputs: str
    commands: tuple[Planned, ...]
    output: str
    lacking: tuple[str, ...]
    """What of the subject, or of licensed files, isn't here, with the remedy."""

    def lines(self) -> list[str]:
        """For people; commands can be pasted into a shell."""
        told = [("program", self.program), ("notice", self.notice), ("code", self.code), ("inputs", self.inputs)]
        told += [(planned.step, shlex.join(planned.command)) for planned in self.commands]
        told += [("output", self.output), *(("lacking", text) for text in self.lacking)]
        return [f"{name}: {text}" for name, text in told if text]

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def plan(
    program: Program, subject: Subject, checkpoint: Path, preset: str, seed: int, device: str, load: Path | None
) -> ProgramPlan:
    """The plan of one cell. Asks no engine, reads no weights.

    :param checkpoint: the cell's checkpoint folder
    :param load: the checkpoint that is rendered instead of training, if any
    """
    spec = program.spec
    device = "cuda" if spec.image and spec.image.gpu else device  # as on the machine where it can run
    work = checkpoint.parent / f"{PREFIX}…"
    places = commands.Places(work / "data", checkpoint)
    steps = [] if load else [commands.training(spec, stage, places, preset, seed, device) for stage in spec.train]
    ready = commands.Places(work / "data", work / "out", checkpoint)
    steps.append(commands.rendering(spec, ready, preset, seed, device, subject.test_ids))
    told = [Planned("build", tuple(_build(program)))] if spec.image and spec.image.dockerfile else []
    told += [Planned(step.name, tuple(_run(program, step, device))) for step in steps]
    licence = f"{spec.upstream} at {spec.commit}, " if spec.upstream else ""
    return ProgramPlan(
        program.label, spec.notice, f"{licence}licence {spec.licence}", _inputs(program, load), tuple(told),
        _output(program, len(subject.test_ids)), tuple(program.lacking(subject)),
    )  # fmt: skip


def _build(program: Program) -> list[str]:
    found, folder = program.found, program.found.path.parent
    about = found.spec.image
    assert about is not None
    assert about.dockerfile is not None
    words = ["docker", "build", f"--tag={image.tag(found)}", f"--file={folder / about.dockerfile}"]
    words += [f"--build-arg={name}={value}" for name, value in image.arguments(found).items()]
    return [*words, *(["--network=none"] if about.offline else []), str(folder)]


def _run(program: Program, step: Step, device: str) -> list[str]:
    about = program.spec.image
    if about is None:
        return list(step.command)
    confinement = Confinement.of(about, "{}:{}".format(*engine.user()), threads.allowed(), gpus(device))
    mounts = [f"--mount={mount.argument()}" for mount in step.mounts]
    return [
        "docker",
        "run",
        "--rm",
        *confinement.arguments(),
        *mounts,
        "--entrypoint=",
        image.tag(program.found),
        *step.command,
    ]


def _inputs(program: Program, load: Path | None) -> str:
    spec = program.spec
    what = "what the method may see" if spec.inputs.layout == TALKBENCH else "the whole subject, test frames included"
    how = "a copy that may be written into" if spec.inputs.writable else "read-only"
    return f"layout {spec.inputs.layout}: {what}, {how}" + (f"; checkpoint {load}" if load else "")


def _output(program: Program, count: int) -> str:
    render, limits = program.spec.render, program.spec.limits
    brand = "lossy, so that the numbers say src:…" if render.lossy else "lossless"
    return f"{count} frames, {render.output}, {brand}; each step at most {limits.hours:g} h and {limits.disk / 2**30:g} GiB"
