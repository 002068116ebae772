"""What a renderer is given of the test split: read a stretch ahead of it, and let go behind it, so that no length fills memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import overload

from bench.contract import Conditioning
from bench.seeable import PARTS
from bench.subject import Subject

AHEAD = 64
"""Frames that are read before the renderer may ask for them: at 512×512 about 2 MB each."""
_KEPT = 2 * AHEAD


class Given(Sequence[Conditioning]):
    """The conditioning of every test frame. The harness calls :meth:`prepare` between frames, where no clock runs.

    A renderer may go through it in any order, as often as it likes: what isn't in memory is read when it is asked for,
    at the renderer's expense.
    """

    def __init__(self, subject: Subject, sees: frozenset[str], ids: Sequence[int]) -> None:
        """``ids``: the frames, in order; ``sees``: as in :class:`bench.contract.MethodInfo`."""
        self._subject, self._sees, self.ids = subject, sees, tuple(ids)
        self._kept: OrderedDict[int, Conditioning] = OrderedDict()
        self._read = 0
        self.seconds = 0.0
        """Time that :meth:`prepare` has taken."""

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Conditioning: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Conditioning]: ...
    def __getitem__(self, index: int | slice) -> Conditioning | Sequence[Conditioning]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        made = self._kept[place] = Conditioning(self._subject.frame(self.ids[place]), self._subject, self._sees)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return made

    def prepare(self, done: int) -> None:
        """``done`` frames are rendered: read the next ones, unless at least half of :data:`AHEAD` lie ready."""
        begin = time.perf_counter()
        if self._read - done < AHEAD // 2:
            for place in range(done, min(done + AHEAD, len(self))):
                item = self[place]
                for key in self._sees:
                    for part in PARTS[key]:
                        getattr(item, part)
            self._read = done + AHEAD
        self.seconds += time.perf_counter() - begin
