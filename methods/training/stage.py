"""The loop every stage runs in: steps, state files, resume.

A stage's whole state (parameters, optimiser moments, random generator, epoch order) is one safetensors file, so that a
killed training goes on bit for bit as if it had not been.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.contract import Progress
from bench.errors import MethodError, RecordError
from bench.paths import atomic_file
from methods.training.sampler import Sampler

SAVE_EVERY = 250
_REPORT_EVERY = 10


class Stage(ABC):
    """One stage of training, at iteration ``done`` of ``total``."""

    name: str
    total: int

    def __init__(self, seed: int, frames: int) -> None:
        self.done = 0
        self.upcoming: int | None = None
        """Position of the next iteration's frame, drawn one iteration ahead so that it can be read meanwhile."""
        self.generator = torch.Generator().manual_seed(seed)
        self.sampler = Sampler(frames, self.generator)

    @abstractmethod
    def step(self, it: int) -> dict[str, float]:
        """Do iteration ``it`` (from 1); return scalars to log, ``loss`` among them."""

    @abstractmethod
    def draw(self, it: int) -> int:
        """Choose the position of iteration ``it``'s frame among the training frames."""

    @abstractmethod
    def fetch(self, it: int, position: int) -> None:
        """Begin to read what iteration ``it`` needs of the frame at ``position``."""

    def position(self, it: int) -> int:
        """Position of iteration ``it``'s frame; the next iteration's begins to be read."""
        position = self.draw(it) if self.upcoming is None else self.upcoming
        self.upcoming = self.draw(it + 1) if it < self.total else None
        if self.upcoming is not None:
            self.fetch(it + 1, self.upcoming)
        return position

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The stage's learnt state and optimiser moments."""

    @abstractmethod
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of :meth:`tensors`."""

    def picture(self) -> Tensor | None:
        """float [3,h,w] of the last iteration, for the report."""
        return None

    def save(self, path: Path) -> None:
        """Write the stage's state atomically."""
        state = {
            "done": torch.tensor([self.done]),
            "generator": self.generator.get_state(),
            "order": self.sampler.order,
            "upcoming": torch.tensor([-1 if self.upcoming is None else self.upcoming]),
            **self.tensors(),
        }
        with atomic_file(path) as temporary:
            save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, temporary)

    def load(self, path: Path) -> None:
        """Read what :meth:`save` wrote."""
        state = read_tensors(path)
        self.done = int(state.pop("done"))
        self.generator.set_state(state.pop("generator"))
        self.sampler.order = state.pop("order")
        upcoming = int(state.pop("upcoming"))
        self.upcoming = None if upcoming < 0 else upcoming
        self.load_tensors(state)

    def run(self, folder: Path, progress: Progress) -> None:
        """Train to the end, from the last saved state if there is one.

        Raises:
            MethodError: the loss stopped being a number.
        """
        path = folder / f"{self.name}.safetensors"
        if path.exists():
            self.load(path)
        progress.stage(self.name, self.total)
        if self.done:
            progress.step(self.done)
        while self.done < self.total:
            scalars = self.step(self.done + 1)
            self.done += 1
            if not math.isfinite(scalars["loss"]):
                where = f"stage {self.name}, iteration {self.done}"
                raise MethodError(
                    f"the loss became {scalars['loss']} ({where}): check the subject's masks with `bench data verify`"
                )
            last = self.done == self.total
            if self.done % _REPORT_EVERY == 0 or last:
                progress.step(self.done, scalars)
            if self.done % SAVE_EVERY == 0 or last:
                self.save(path)
                self._show(progress)

    def _show(self, progress: Progress) -> None:
        picture = self.picture()
        if picture is not None:
            pixels = (picture.detach().clamp(0, 1) * 255).round().to(torch.uint8)
            progress.image(f"{self.name}-{self.done:06d}", pixels.permute(1, 2, 0).cpu().numpy())


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file.

    Raises:
        RecordError: it can't be read.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RecordError(
            f"{path} can't be read ({error}); remove the cell's checkpoint folder and train again"
        ) from error


def module_state(prefix: str, module: nn.Module, optimizer: torch.optim.Optimizer | None) -> dict[str, Tensor]:
    """A module's parameters and its optimiser's moments under ``prefix``."""
    out = {f"{prefix}.param.{n}": p.detach() for n, p in module.named_parameters()}
    if optimizer is not None:
        for index, moments in enumerate(_moments(optimizer)):
            out.update({f"{prefix}.adam.{index}.{k}": v for k, v in moments.items()})
    return out


def load_module(
    prefix: str, module: nn.Module, optimizer: torch.optim.Optimizer | None, tensors: dict[str, Tensor]
) -> None:
    """The inverse of :func:`module_state`."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(tensors[f"{prefix}.param.{name}"])
    if optimizer is None:
        return
    flat = [p for group in optimizer.param_groups for p in group["params"]]
    for index, parameter in enumerate(flat):
        start = f"{prefix}.adam.{index}."
        moments = {k.removeprefix(start): v.to(parameter.device) for k, v in tensors.items() if k.startswith(start)}
        if moments:
            optimizer.state[parameter] = moments


def _moments(optimizer: torch.optim.Optimizer) -> Iterator[dict[str, Tensor]]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield optimizer.state.get(parameter, {})


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every key behind ``prefix.``."""
    return {f"{prefix}.{k}": v for k, v in tensors.items()}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose key begins with ``prefix.``, without it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
