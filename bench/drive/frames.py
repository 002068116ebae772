"""What a driven method is given: frames of the subject in some order, each with another sound's features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import cycle, islice
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from bench import audio
from bench.contract import Conditioning
from bench.subject import Frame, Subject

Poses = Literal["train", "test", "loop"]
POSES: tuple[Poses, ...] = ("train", "test", "loop")


def order(subject: Subject, poses: Poses, count: int) -> list[int]:
    """Ids of the frames that ``count`` frames of video take head, expression and canvas from.

    ``train`` and ``test`` end with their split: then there are fewer than ``count``. ``loop`` goes through all frames and
    back, without end, the turning points once.
    """
    if poses != "loop":
        return (subject.train_ids if poses == "train" else subject.test_ids)[:count]
    ids = sorted(subject.ids)
    return list(islice(cycle(ids + ids[-2:0:-1]), count))


class _Driven(Frame):
    """A frame at which other words are heard."""

    def __init__(self, subject: Subject, frame_id: int, features: NDArray[np.float32], index: int) -> None:
        super().__init__(subject, frame_id)
        self._features, self._index = features, index

    @cached_property
    def audio(self) -> NDArray[np.float32]:
        """[8,C,L] windows around the moment ``index`` of the sound."""
        return audio.neighbourhood(self._features, self._index)


class Driven(Sequence[Conditioning]):
    """Conditionings that are made when they are asked for and not kept, so that a long sound needs no more memory.

    A renderer is given the whole sequence at once, as in a run: it may smooth over time, or look around.
    """

    def __init__(
        self, subject: Subject, sees: frozenset[str], features: NDArray[np.float32], places: Sequence[tuple[int, int]]
    ) -> None:
        """
        Args:
            sees: as in :class:`bench.contract.MethodInfo`.
            features: [T,L,C] windows of the sound.
            places: a frame's id and a row of ``features`` for each frame of video.
        """
        self._subject, self._sees, self._features, self._places = subject, sees, features, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Conditioning: ...
    @overload
    def __getitem__(self, index: slice) -> Driven: ...
    def __getitem__(self, index: int | slice) -> Conditioning | Driven:
        if isinstance(index, slice):
            return Driven(self._subject, self._sees, self._features, self._places[index])
        frame_id, row = self._places[index]
        return Conditioning(_Driven(self._subject, frame_id, self._features, row), self._subject, self._sees)
