"""Where the time of a training step goes (``bench run --profile``).

A method names the parts of its step, wherever in its code they are::

    with part("rasterise"):
        ...

While nothing is recorded, :func:`part` gives one shared context manager that does nothing: it reads no clock.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from bench.records import StageProfile

Function = TypeVar("Function", bound=Callable[..., Any])

OTHER = "other"
"""What the time of a stage is booked on that no part claims."""
_OFF = nullcontext()
_active: Parts | None = None


def part(name: str) -> AbstractContextManager[object]:
    """Book the time that the block takes on ``name``, less that of the parts which are entered within it."""
    return _OFF if _active is None else _Part(_active, name)


def booked(name: str) -> Callable[[Function], Function]:
    """Book every call of the decorated function on ``name``: for a backward pass, which no caller can put a block around."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def timed(*given: Any) -> Any:
            with part(name):
                return function(*given)

        return cast(Function, timed)

    return decorate


@contextmanager
def recording(parts: Parts) -> Iterator[Parts]:
    """Within the block, :func:`part` measures into ``parts``, in every thread."""
    global _active
    before, _active = _active, parts
    try:
        yield parts
    finally:
        _active = before


@dataclass
class _Table:
    """A stage's steps so far, and the seconds that they took up to the last one."""

    steps: int = 0
    wall: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)


class Parts:
    """Seconds by stage and part, up to the last step of each stage.

    Every moment belongs to one part: the one entered last of those still open. So an inner part pauses the outer one,
    and the parts never add up to more than the wall time. That holds across threads, too: on CUDA, autograd runs the
    backward passes in a thread of its own while the one that called ``backward()`` waits, so what counts as inner is told
    by time and not by thread. (Of parts that truly run at once, the one entered last has the time.)
    """

    def __init__(
        self, synchronise: Callable[[], None] | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Make empty tables.

        :param synchronise: waits for work that was only queued so far, such as CUDA's kernels; called at every boundary
        """
        self._synchronise, self._clock = synchronise, clock
        self._lock = threading.Lock()
        self._open: list[_Part] = []
        self._table = _Table()
        self._tables: dict[str, _Table] = {}
        self._pending: dict[str, float] = {}
        """Seconds by part since the last step."""
        self._since = self._last = clock()
        """Times of the last step and of the last boundary."""

    def stage(self, name: str) -> None:
        """A stage begins, or goes on; what came after the last step of the one before is nobody's."""
        self._wait()
        with self._lock:
            self._table = self._tables.setdefault(name, _Table())
            self._begin()

    def steps(self, count: int) -> None:
        """``count`` more steps of the stage are done.

        Before the first one, none more says that the stage goes on from here: what came before was setting up.
        """
        self._wait()
        with self._lock:
            if count <= 0:
                if not self._table.steps:
                    self._begin()
                return
            now = self._charge()
            self._table.steps += count
            self._table.wall += now - self._since
            for name, seconds in self._pending.items():
                self._table.parts[name] = self._table.parts.get(name, 0.0) + seconds
            self._since, self._pending = now, {}

    def profile(self) -> dict[str, StageProfile]:
        """The stages that had steps, each with its parts in the order in which they were first left or interrupted."""
        return {name: _profile(table) for name, table in self._tables.items() if table.steps}

    def _begin(self) -> None:
        self._since = self._last = self._clock()
        self._pending = {}

    def _enter(self, entered: _Part) -> None:
        self._wait()
        with self._lock:
            self._charge()
            self._open.append(entered)

    def _leave(self, left: _Part) -> None:
        self._wait()
        with self._lock:
            self._charge()
            self._open.remove(left)

    def _wait(self) -> None:
        if self._synchronise is not None:
            self._synchronise()

    def _charge(self) -> float:
        """Book the time since the last boundary on the part entered last; return the time of this one."""
        now = self._clock()
        if self._open:
            name = self._open[-1].name
            self._pending[name] = self._pending.get(name, 0.0) + now - self._last
        self._last = now
        return now


class _Part:
    """One entry into a part."""

    __slots__ = ("_parts", "name")

    def __init__(self, parts: Parts, name: str) -> None:
        self._parts, self.name = parts, name

    def __enter__(self) -> None:
        self._parts._enter(self)

    def __exit__(self, *_: object) -> None:
        self._parts._leave(self)


def _profile(table: _Table) -> StageProfile:
    rest = max(table.wall - sum(table.parts.values()), 0.0)  # rounding can take it below
    named = {name: seconds for name, seconds in table.parts.items() if name != OTHER}
    seconds = named | {OTHER: table.parts.get(OTHER, 0.0) + rest}
    return StageProfile(steps=table.steps, milliseconds={n: 1000 * s / table.steps for n, s in seconds.items()})
