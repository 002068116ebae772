"""What a program that is a method says of itself, in one TOML (docs/docker.md has an example)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bench.containers import template
from bench.contract import PRESETS, MethodInfo, Preset
from bench.errors import MethodError, UsageError
from bench.records import Backend
from bench.seeable import SEEABLE

TALKBENCH = "talkbench"
"""The layout of our own: only what the method may see (:mod:`bench.containers.inputs`)."""

_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def size_bytes(text: object) -> int:
    """Bytes of ``512m``, ``24g`` …: a whole number and one of k, m, g, t (powers of 1024).

    >>> size_bytes("8g") == 8 * 2**30
    True
    """
    match = re.fullmatch(r"([1-9][0-9]*)([kmgt])", str(text))
    if not match:
        raise ValueError(f"{text!r} is no size: write a whole number and k, m, g or t, such as 24g")
    return int(match[1]) * _UNITS[match[2]]


def _absolute(text: str) -> str:
    if not re.fullmatch(r"(/[\w.+-]+)+", text) or ".." in text.split("/"):
        raise ValueError(f"{text!r} is no absolute path in the image, such as /work/data")
    return text


Size = Annotated[int, BeforeValidator(size_bytes)]
"""Bytes, written as ``24g``."""
ImagePath = Annotated[str, AfterValidator(_absolute)]
"""An absolute path within the image."""
Value = str | int | float


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Limits(_Table):
    hours: float = Field(12.0, gt=0)
    """A single step (a stage, or rendering) may take this long."""
    disk: Size = size_bytes("20g")
    """The step's folder may grow to this."""


class Image(_Limits):
    """``[image]``: where the program runs, and what it may use up."""

    dockerfile: str | None = None
    """Beside the TOML, whose folder is the build's context; ``upstream`` and ``commit`` come as build arguments UPSTREAM and COMMIT."""
    name: str | None = Field(None, pattern=r"^[\w][\w./:@-]*$")
    """Instead: an image that is there already."""
    offline: bool = False
    """The build gets no network. Running never has any."""
    gpu: bool = False
    cuda: str = Field("", pattern=r"^(\d+\.\d+)?$")
    """The image's CUDA, for `bench doctor` to compare with the driver's."""
    memory: Size = size_bytes("8g")
    shm: Size = size_bytes("64m")
    cpus: float | None = Field(None, gt=0)
    """None: as many as the cell has threads."""
    pids: int = Field(512, ge=8)
    writable: bool = False
    """The image's own files can be written (what is written goes with the container); else only {out} and /tmp."""

    @model_validator(mode="after")
    def _one(self) -> Image:
        if (self.dockerfile is None) == (self.name is None):
            raise ValueError("names either dockerfile or name")
        if self.dockerfile is not None and Path(self.dockerfile).name != self.dockerfile:
            raise ValueError(f"dockerfile {self.dockerfile!r} is to lie beside the TOML")
        return self


class Host(_Limits):
    """``[command]``: the program runs on the host itself, in the TOML's folder, with the user's rights."""

    environment: dict[str, str] = {}


class Inputs(_Table):
    """``[inputs]``: what the program is given, and where."""

    layout: str = TALKBENCH
    """``talkbench``: only what ``sees`` names. Else one of the field's (`bench data export`): the whole subject, as its code expects it."""
    at: ImagePath = "/bench/data"
    """Where {data} is in the image."""
    writable: bool = False
    """{data} is a copy that may be written into, thrown away after the step."""
    pictures: Literal["png", "bmp"] = "png"
    """How pictures of test frames are written in the layout ``talkbench``."""
    weights: dict[str, ImagePath] = {}
    """Names of `bench weights list` → where the file is in the image; the user must have them."""

    @model_validator(mode="after")
    def _known(self) -> Inputs:
        from bench import formats

        if self.layout not in (TALKBENCH, *formats.FORMATS):
            raise ValueError(f"unknown layout {self.layout!r} (known: {', '.join((TALKBENCH, *formats.FORMATS))})")
        return self


class Stage(_Table):
    """``[[train]]``: one command of the training. A finished stage isn't run again."""

    stage: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    run: str
    """Split as a shell would, but run without one. {out} is the checkpoint folder, kept from stage to stage."""
    steps: str = ""
    """Pattern that finds ``(?P<done>…)`` and, where it stands there, ``(?P<total>…)`` in a line of the output."""

    @model_validator(mode="after")
    def _pattern(self) -> Stage:
        if self.steps:
            try:
                groups = re.compile(self.steps).groupindex
            except re.error as error:
                raise ValueError(f"steps of stage {self.stage!r} is no pattern ({error})") from error
            if "done" not in groups:
                raise ValueError(f"steps of stage {self.stage!r} has no group (?P<done>…)")
        return self


class Render(_Table):
    """``[render]``: the command that renders the test frames, and what it leaves."""

    run: str
    """{checkpoint} is the trained folder, read-only; {out} an empty one, whose files are read and thrown away."""
    output: str
    """Pictures with {id} (the frame's), {k} (0, 1, …) or {n} (1, 2, …) in their names, or one video; * and ? as in a shell."""
    lossy: bool = False
    """The code keeps only lossy files: the numbers say so (``src:h264``). Where it isn't so, rendering fails."""
    copy_checkpoint: bool = False
    """{out} starts as a copy of the checkpoint, for code that writes its pictures beside its weights."""


class Spec(_Table):
    """A method's TOML, whole."""

    name: str = Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")
    title: str
    summary: str
    kind: Literal["3DGS", "NeRF", "reference"]
    year: int | None = None
    paper: str = ""
    licence: str
    """Of the code that runs."""
    notice: str = ""
    """One sentence that is shown with the method."""
    upstream: str = ""
    commit: str = Field("", pattern=r"^([0-9a-f]{7,40})?$")
    sees: frozenset[str]
    canvas: str = "own"
    image: Image | None = None
    command: Host | None = None
    inputs: Inputs = Inputs()
    presets: dict[Preset, dict[str, Value]] = {}
    """Variables of the commands, by preset; empty: every preset, without variables."""
    train: tuple[Stage, ...] = ()
    """Empty: nothing to learn."""
    render: Render

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        if (self.image is None) == (self.command is None):
            raise ValueError("has either [image] or [command]")
        if self.command and (self.inputs.weights or self.inputs.at != Inputs().at):
            raise ValueError("[command] runs on the host: inputs.weights and inputs.at are for images")
        if unknown := self.sees - SEEABLE.keys():
            raise ValueError(f"sees unknown things: {', '.join(sorted(unknown))} (known: {', '.join(SEEABLE)})")
        stages = [stage.stage for stage in self.train]
        if len(set(stages)) != len(stages):
            raise ValueError("two stages have one name")
        if len({frozenset(variables) for variables in self.presets.values()}) > 1:
            raise ValueError("the presets have different variables")
        if self.presets and not self.train:
            raise ValueError("presets are for training, and there is no [[train]]")
        self._check_templates()
        return self

    def _check_templates(self) -> None:
        variables = set(next(iter(self.presets.values()), {}))
        if clash := variables & template.NAMES:
            raise ValueError(f"the presets' variable {min(clash)!r} is the harness's own name")
        for stage in self.train:
            template.check(stage.run, template.TRAIN | variables, f"stage {stage.stage!r}")
        untrained = {"seed", "preset"} if not self.train else set()
        template.check(self.render.run, (template.RENDER | variables) - untrained, "[render]")
        template.check_output(self.render.output)

    @property
    def limits(self) -> Image | Host:
        """The table that says where it runs."""
        where = self.image or self.command
        assert where is not None  # _consistent
        return where

    @property
    def seeded(self) -> bool:
        """Whether another seed makes another training."""
        return any("{seed}" in stage.run for stage in self.train)

    def backend(self, native: bool) -> Backend:
        """``command`` on the host; in a container ``official`` beside a native method of this name (``native``), else ``docker``."""
        return "command" if self.command else "official" if native else "docker"

    def info(self, backend: Backend) -> MethodInfo:
        """The method's identity card."""
        return MethodInfo(
            name=self.name, title=self.title, summary=self.summary, kind=self.kind, sees=self.sees, canvas=self.canvas,
            paper=self.paper, year=self.year, licence=self.licence, backend=backend, trains=bool(self.train),
            presets=tuple(preset for preset in PRESETS if preset in self.presets) or PRESETS,
        )  # fmt: skip

    def variables(self, preset: str) -> dict[str, Value]:
        """The commands' variables in ``preset``."""
        return next((v for name, v in self.presets.items() if name == preset), {})


def read(path: Path) -> Spec:
    """Read a method's TOML.

    Raises:
        UsageError: no such file.
        MethodError: it isn't TOML, or isn't a method's; the message names the file and the first thing that is wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise MethodError(f"{path} can't be read: {' '.join(str(error).split())}") from error
    try:
        spec = Spec.model_validate(table)
    except ValidationError as error:
        raise MethodError(f"{path}: {_first(error)}; docs/docker.md has the form") from error
    if spec.image and spec.image.dockerfile and not (path.parent / spec.image.dockerfile).is_file():
        raise MethodError(f"{path}: there is no {spec.image.dockerfile} beside it")
    return spec


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {place}"
    if problem["type"] == "missing":
        return f"{place} is missing"
    text = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text
