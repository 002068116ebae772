"""A program as a method: :class:`bench.contract.Method` of a TOML."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import formats, threads, weights
from bench.containers import commands, engine, image, inputs, outputs
from bench.containers.container import ContainerProcess
from bench.containers.find import Found
from bench.containers.host import HostProcess
from bench.containers.outputs import Rendered
from bench.containers.spec import TALKBENCH
from bench.containers.step import Confinement, Step
from bench.containers.watch import Process, supervise
from bench.contract import Conditioning, Progress, TrainTask
from bench.errors import AbsentError
from bench.formats.export import lacks
from bench.paths import write_text
from bench.records import Backend
from bench.subject import Subject
from bench.video import Frame

PREFIX = ".program-"
"""Of temporary folders; what a kill leaves of them, the next run of the cell removes."""
_STAGES, _SETTINGS = "stages.json", "settings.json"
"""In a checkpoint: the stages that are over; preset and seed, which a rendering command may name, too."""


class Program:
    """A method that runs as containers or as commands of the host. Each command is supervised, and leaves nothing running."""

    def __init__(self, found: Found, backend: Backend) -> None:
        """``backend``: what it is called by, beside its name."""
        info = found.spec.info(backend)
        self.whole = found.spec.inputs.layout != TALKBENCH
        self.info = replace(info, sees=info.sees | {"subject"}) if self.whole else info
        self.found, self.spec = found, found.spec
        self.label = f"{info.name}@{backend}"

    def require(self, device: str) -> None:
        """Raise unless this machine has what the program needs.

        Raises:
            AbsentError: no engine, image or GPU; the message has the remedy.
        """
        if self.spec.image is None:
            return
        if self.spec.image.gpu and not device.startswith("cuda"):
            raise AbsentError(
                f"{self.label} needs an NVIDIA GPU that torch can use: this machine has none, so run it where one is"
            )
        image.require(engine.connect(), self.found, self.label)

    def lacking(self, subject: Subject) -> list[str]:
        """What of the subject's files and of licensed ones isn't here, each with its remedy."""
        layout = [formats.get(self.spec.inputs.layout)] if self.whole else []
        missing = [lack for one in layout for lack in lacks(subject, one) if lack.needed]
        entries = map(weights.get, self.spec.inputs.weights)
        return [f"{subject.name} has no {lack.files}: {lack.why}" for lack in missing] + [
            f"{entry.name} ({entry.licence}) isn't here: {entry.remedy()}"
            for entry in entries
            if entry.state() not in ("present", "unchecked")
        ]

    def libraries(self, device: str) -> dict[str, str]:
        """The image or command, and whose code it is."""
        del device
        spec = self.spec
        program = image.identity(engine.connect(), self.found) if spec.image else "command of the host"
        return {"program": program} | ({"code": f"{spec.upstream}@{spec.commit}"} if spec.upstream else {})

    def train(self, task: TrainTask) -> None:
        """Run the stages that aren't over yet, each in the checkpoint folder that the one before left."""
        self.adopt(task.out, task.preset, task.seed)
        over: list[str] = _read(task.out / _STAGES, [])
        waiting = [stage for stage in self.spec.train if stage.stage not in over]
        if not waiting:
            return
        with _workplace(task.out) as work:
            self._write_training(task.subject, work / "data")
            for stage in waiting:
                step = commands.training(
                    self.spec, stage, commands.Places(work / "data", task.out), task.preset, task.seed, task.device
                )
                self._run(step, task.device, _Teller(task.progress, stage.stage))
                over.append(stage.stage)
                write_text(task.out / _STAGES, json.dumps(over) + "\n")

    def adopt(self, checkpoint: Path, preset: str, seed: int) -> None:
        """See :class:`bench.contract.Adopts`."""
        write_text(checkpoint / _SETTINGS, json.dumps({"preset": preset, "seed": seed}) + "\n")

    def load(self, checkpoint: Path, device: str) -> ProgramRenderer:
        """Nothing is started until frames are asked for."""
        return ProgramRenderer(self, checkpoint, device)

    def render(self, checkpoint: Path, device: str, given: Sequence[Conditioning], work: Path) -> Rendered:
        """Render into ``work`` and look at what came out; frames are read from there afterwards.

        Raises:
            MethodError: the program failed, or left something else than the frames.
        """
        data, out = work / "data", work / "out"
        ids = self._write_given(given, data)
        _make_out(out, checkpoint if self.spec.render.copy_checkpoint else None, self.spec.render.output)
        settings = _read(checkpoint / _SETTINGS, {"preset": "", "seed": 0})
        step = commands.rendering(
            self.spec, commands.Places(data, out, checkpoint), settings["preset"], settings["seed"], device, ids
        )
        self._run(step, device, lambda done, total: None)
        return outputs.collect(out, self.spec.render, ids, given[0].size)

    def _write_training(self, subject: Subject, data: Path) -> None:
        if self.whole:
            inputs.write_whole(Subject(subject.root), self.spec.inputs.layout, data, self._home(data))
        else:
            inputs.write_training(subject, data)
        self._finish(data)

    def _write_given(self, given: Sequence[Conditioning], data: Path) -> list[int]:
        """Write what is given of the test frames; returns the ids that are to be rendered: authors' code knows only all of them."""
        if not self.whole:
            inputs.write_conditioning(given, self.info.sees, data, self.spec.inputs.pictures)
            ids = [item.id for item in given]
        else:
            subject = given[0].subject
            inputs.write_whole(subject, self.spec.inputs.layout, data, self._home(data))
            ids = subject.test_ids
        self._finish(data)
        return ids

    def _finish(self, data: Path) -> None:
        if self.spec.inputs.writable:
            inputs.unlinked(data)

    def _home(self, data: Path) -> str:
        return self.spec.inputs.at if self.spec.image else str(data)

    def _run(self, step: Step, device: str, progress: Callable[[int, int], None]) -> None:
        if self.spec.command:
            process: Process = HostProcess(step, self.found.path.parent, self.spec.command.environment)
        else:
            assert self.spec.image is not None
            client = engine.connect()
            user = engine.user(engine.rootless(client))
            for folder in step.grows:
                _give(folder, *user)
            confinement = Confinement.of(self.spec.image, "{}:{}".format(*user), threads.allowed(), gpus(device))
            process = ContainerProcess(client, image.tag(self.found), step, confinement)
        supervise(process, step, progress)


class ProgramRenderer:
    """A trained program, ready to render."""

    def __init__(self, program: Program, checkpoint: Path, device: str) -> None:
        self._program, self._checkpoint, self._device = program, checkpoint, device
        self.source = "lossless"

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Frame]:
        """All frames are rendered before the first one is handed over.

        Raises:
            MethodError: see :meth:`Program.render`.
        """
        with _workplace(self._checkpoint) as work:
            rendered = self._program.render(self._checkpoint, self._device, conditioning, work)
            self.source = rendered.source
            yield from rendered.only([item.id for item in conditioning])


class _Teller:
    """Hands on how far a stage is; its number of steps is known once the program says it."""

    def __init__(self, progress: Progress, stage: str) -> None:
        self._progress, self._stage, self._total = progress, stage, 0
        progress.stage(stage, 0)

    def __call__(self, done: int, total: int) -> None:
        if total != self._total:
            self._total = total
            self._progress.stage(self._stage, total)  # the same stage: its clock goes on
        self._progress.step(done)


def gpus(device: str) -> tuple[str, ...]:
    """The GPU that ``device`` (``cuda``, ``cuda:1``) means, as the driver numbers them; empty on the CPU."""
    if not device.startswith("cuda"):
        return ()
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    number = int(device.partition(":")[2] or 0)
    return (seen[number].strip() if number < len(seen) and seen[number].strip() else str(number),)


@contextmanager
def _workplace(checkpoint: Path) -> Iterator[Path]:
    """A temporary folder beside the checkpoint, which a container's user can enter."""
    folder = Path(tempfile.mkdtemp(dir=checkpoint.absolute().parent, prefix=PREFIX))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_out(out: Path, checkpoint: Path | None, output: str) -> None:
    """An empty folder, or a copy of the checkpoint without what training rendered."""
    if checkpoint is None:
        out.mkdir()
        return
    shutil.copytree(checkpoint, out, symlinks=True)
    for path in outputs.matches(out, output):
        path.unlink()


def _give(folder: Path, uid: int, gid: int) -> None:
    """Make a folder the container's user's, where we may."""
    if os.getuid() == 0 and uid:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)


def _read(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default
