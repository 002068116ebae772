"""TensorBoard's event files of a training (``bench run --log tensorboard``): scalars and pictures, one folder a stage.

Steps count from 0 in every stage, so each stage is a run of its own to TensorBoard; ``tensorboard --logdir RUN/cells`` shows
them all. A resumed stage begins a new file that tells TensorBoard to forget what was logged after the step from which it goes on.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.contract import Progress
from bench.errors import AbsentError
from bench.run.layout import CellFolder
from bench.run.progress import SETUP

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_FLUSH_EVERY = 1
"""Seconds: what a kill loses at most. A checkpoint from which a stage goes on is nearly always older."""


def require() -> None:
    """Make sure that event files can be written here.

    Raises:
        AbsentError: the package is missing or doesn't fit the others.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except Exception as error:  # whatever a package that doesn't fit raises
        reason = " ".join(str(error).split())
        raise AbsentError(
            f"--log tensorboard needs the package tensorboard ({reason}): pip install 'talkbench[tensorboard]'"
        ) from error


@contextmanager
def beside(progress: Progress, folder: CellFolder, resumed: bool) -> Iterator[Progress]:
    """``progress``, whose reports also go into the cell's event files; those of an earlier training go unless it is resumed."""
    if not resumed:
        shutil.rmtree(folder.tensorboard, ignore_errors=True)
    log = TensorBoardProgress(progress, folder.tensorboard)
    try:
        yield log
    finally:
        log.close()


class TensorBoardProgress:
    """A :class:`bench.contract.Progress` that hands everything on to another and logs it."""

    _folder: Path
    """The stage's."""
    _done: int
    """Steps of the stage that are logged."""
    _early: dict[str, NDArray[np.uint8]]
    """Pictures from before its first step: at which one it goes on isn't known yet."""

    def __init__(self, inner: Progress, root: Path) -> None:
        self._inner, self._root = inner, root
        self._writer: SummaryWriter | None = None
        self._begin(SETUP)

    def stage(self, name: str, total: int) -> None:
        """See :class:`bench.contract.Progress`."""
        self._inner.stage(name, total)
        self.close()
        self._begin(name)

    def step(self, done: int, scalars: Mapping[str, float] | None = None) -> None:
        """See :class:`bench.contract.Progress`."""
        self._inner.step(done, scalars)
        # Without scalars it says where a session goes on: the step itself was logged by an earlier one.
        writer = self._opened(done if scalars else done + 1)
        if done > self._done:
            for name, value in (scalars or {}).items():
                writer.add_scalar(name, float(value), done)
            self._done = done
        for name, picture in self._early.items():
            self._draw(writer, name, picture)
        self._early.clear()

    def image(self, name: str, picture: NDArray[np.uint8]) -> None:
        """See :class:`bench.contract.Progress`."""
        self._inner.image(name, picture)
        if self._writer is None:
            self._early[name] = picture
        else:
            self._draw(self._writer, name, picture)

    def close(self) -> None:
        """Write what is outstanding."""
        if self._writer is None and self._early:  # a stage without steps
            writer = self._opened(0)
            for name, picture in self._early.items():
                self._draw(writer, name, picture)
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _begin(self, stage: str) -> None:
        self._folder = self._root / (re.sub(r"[^\w -]", "_", stage) or "_")
        self._done = 0
        self._early = {}

    def _opened(self, purge_from: int) -> SummaryWriter:
        """The stage's writer; the first one of a session drops what was logged at step ``purge_from`` and later."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._done = purge_from - 1
            self._writer = SummaryWriter(str(self._folder), purge_step=purge_from, flush_secs=_FLUSH_EVERY)
        return self._writer

    def _draw(self, writer: SummaryWriter, name: str, picture: NDArray[np.uint8]) -> None:
        """One slider for pictures that differ only in the number at the end of their name."""
        tag = re.sub(r"[-_ ]*\d+$", "", name) or name
        writer.add_image(tag, picture, self._done, dataformats="HWC")
