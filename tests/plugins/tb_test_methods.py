"""Methods that misbehave, each in one way."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract import Conditioning, MethodInfo, TrainTask
from bench.errors import BenchWarning, MethodError
from bench.parts import part
from bench.paths import write_text
from bench.run.given import Given
from bench.variants import Variant


def info(name: str, *sees: str) -> MethodInfo:
    return MethodInfo(name=name, title=name, summary="for tests", kind="reference", sees=frozenset(sees))


class Well:
    """Grey frames."""

    info = info("t-well")

    def train(self, task: TrainTask) -> None:
        warnings.warn("t-well runs slowly: buy a faster grey", BenchWarning, stacklevel=2)
        task.progress.stage("only", 3)
        for done in (1, 2, 3):
            task.progress.step(done, {"loss": 1 / done})

    def load(self, checkpoint: Path, device: str) -> Any:
        return self

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        for item in conditioning:
            yield np.full((item.size[1], item.size[0], 3), 128, np.uint8)


class Hears(Well):
    """Brighter grey where its sound is louder."""

    info = info("t-hears", "pose", "audio", "expression")

    def train(self, task: TrainTask) -> None:
        task.progress.stage("only", 1)
        task.progress.step(1)

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        for item in conditioning:
            shade = np.clip(0.5 + 0.1 * item.audio[4].mean(), 0, 1)
            yield np.full((item.size[1], item.size[0], 3), shade, np.float32)


class Slow(Well):
    """Resumable: 40 steps, a checkpoint every 5; the result says how often each step was done."""

    info = info("t-slow")

    def train(self, task: TrainTask) -> None:
        file = task.out / "state.json"
        state = json.loads(file.read_text()) if file.exists() else {"done": 0, "sum": 0}
        task.progress.stage("slow", 40)
        task.progress.step(state["done"])
        while state["done"] < 40:
            time.sleep(float(os.environ.get("T_SLOW", "0.05")))
            state = {"done": state["done"] + 1, "sum": state["sum"] + state["done"]}
            task.progress.step(state["done"], {"loss": 1.0 / state["done"]})
            if state["done"] % 5 == 0:
                write_text(file, json.dumps(state))


class Parts(Well):
    """Names the parts of its steps, and what computes."""

    info = info("t-parts")

    def train(self, task: TrainTask) -> None:
        for stage, total in (("coarse", 2), ("fine", 3)):
            task.progress.stage(stage, total)
            for done in range(1, total + 1):
                with part("forward"):
                    time.sleep(0.002)
                with part("backward"), part("rasterise backward"):
                    time.sleep(0.004)
                task.progress.step(done, {"loss": 1 / done})

    def libraries(self, device: str) -> dict[str, str]:
        return {"painter": f"numpy on {device}"}


class Varied(Well):
    """Two factors and a reading; each shade of grey is a variant, so that nothing is trained and all differ."""

    info = MethodInfo(
        name="t-varied", title="t-varied", summary="for tests", kind="3DGS", sees=frozenset(), canvas="own:test",
        factors={"E": "light; without: dusk", "H": "hair; without: bald"}, readings={"paper": "as it is printed"},
    )  # fmt: skip

    def __init__(self, shade: int = 128) -> None:
        self.shade = shade

    def variant(self, variant: Variant) -> Varied:
        changed = Varied(self.shade - 40 * ("E" in variant.off) - 80 * ("H" in variant.off) + 5 * bool(variant.reading))
        changed.info = replace(self.info, canvas="own:bald" if "H" in variant.off else self.info.canvas)
        return changed

    def train(self, task: TrainTask) -> None:
        if self.shade == int(os.environ.get("T_VARIED_FAILS", "0")):
            raise MethodError(f"shade {self.shade} failed")

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        for item in conditioning:
            yield np.full((item.size[1], item.size[0], 3), self.shade, np.uint8)


class Mumbles(Well):
    info = info("t-mumbles")

    def libraries(self, device: str) -> Any:
        return ["numpy"]


class Raises(Well):
    info = info("t-raises")

    def train(self, task: TrainTask) -> None:
        raise MethodError("the loss became nan in stage only at iteration 3: check the masks")


class Exits(Well):
    info = info("t-exits")

    def load(self, checkpoint: Path, device: str) -> Any:
        sys.exit(0)


class Dies(Well):
    info = info("t-dies")

    def train(self, task: TrainTask) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Junk(Well):
    info = info("t-junk")

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        return (np.zeros((3, 3), np.float32) for _ in conditioning)


class Float(Well):
    """Grey frames, 0…1."""

    info = info("t-float")

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        return (np.full((item.size[1], item.size[0], 3), 0.5, np.float32) for item in conditioning)


class Diverged(Well):
    info = info("t-nan")

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        return (np.full((item.size[1], item.size[0], 3), np.nan, np.float32) for item in conditioning)


class Nothing(Well):
    info = info("t-none")

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        return (None for _ in conditioning)


class Short(Well):
    info = info("t-short")

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        return super().render(conditioning[:-1])


class Peeks(Well):
    info = info("t-peeks", "pose")

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        return (item.ground_truth for item in conditioning)


class Killed(Well):
    """Its process is killed once (``$T_KILL_MARK``) in the stage that ``$T_KILL`` names."""

    info = info("t-killed")

    def train(self, task: TrainTask) -> None:
        task.progress.stage("only", 4)
        for done in range(1, 5):
            task.progress.step(done, {"loss": 1 / done})
            if done == 2:
                _die_once("train")
        write_text(task.out / "model.json", "{}")

    def load(self, checkpoint: Path, device: str) -> Any:
        _die_once("load")
        _patch_to_die("score", "bench.run.cell.rescore")
        _patch_to_die("record", "bench.records.save")
        return self

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        for place, frame in enumerate(super().render(conditioning)):
            if place == 2:
                _die_once("render" if isinstance(conditioning, Given) else "audit")
            yield frame


def _die_once(stage: str) -> None:
    mark = Path(os.environ.get("T_KILL_MARK", os.devnull))
    if os.environ.get("T_KILL") == stage and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _patch_to_die(stage: str, function: str) -> None:
    """Let the harness's own ``function`` kill this process."""
    if os.environ.get("T_KILL") == stage:
        module, _, name = function.rpartition(".")
        real = getattr(importlib.import_module(module), name)

        def deadly(*args: Any, **kwargs: Any) -> Any:
            _die_once(stage)
            return real(*args, **kwargs)

        setattr(importlib.import_module(module), name, deadly)


class Memory(Well):
    """Runs out of memory until its batch is halved ``$T_FITS`` times, which only ``quick`` allows."""

    info = replace(info("t-memory"), shrinks=frozenset({"quick"}))

    def train(self, task: TrainTask) -> None:
        task.progress.stage("only", 1)
        if task.halvings < int(os.environ.get("T_FITS", "0")):
            raise MemoryError(f"batch 1/{2**task.halvings}")
        task.progress.step(1)
        write_text(task.out / "model.json", json.dumps(task.halvings))


class Full(Well):
    info = info("t-full")

    def train(self, task: TrainTask) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(task.out / "big"))


class Hangs(Well):
    info = info("t-hangs")

    def train(self, task: TrainTask) -> None:
        task.progress.stage("forever", 10)
        task.progress.step(1)
        print("hanging", flush=True)
        while True:
            time.sleep(1)
