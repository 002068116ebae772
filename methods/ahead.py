"""A cache that can begin to fill in the background: what a training step wants next is read while the step before runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Ahead(Generic[Key, Value]):
    """Values by key, made by ``read`` when first wanted; the least recently used go once they take more than ``limit`` bytes.

    Args:
        read: makes a value; runs in a thread of this cache's own after :meth:`begin`, in the caller's otherwise.
        size: bytes of a value.
        limit: bytes kept; the value just read stays in any case.
    """

    def __init__(self, read: Callable[[Key], Value], size: Callable[[Value], int], limit: int) -> None:
        self._read, self._size, self._limit = read, size, limit
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._bytes = 0
        self._coming: dict[Key, Future[Value]] = {}
        self._reader = ThreadPoolExecutor(1, "ahead")

    def begin(self, key: Key) -> None:
        """Start reading ``key`` unless it is here or on its way. An error shows when the value is asked for."""
        if key not in self._kept and key not in self._coming:
            self._coming[key] = self._reader.submit(self._read, key)

    def get(self, key: Key) -> Value:
        """The value of ``key``; waits if it is on its way, reads it if it isn't.

        Raises:
            whatever ``read`` raises.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        coming = self._coming.pop(key, None)
        value = self._read(key) if coming is None else coming.result()
        self._kept[key] = value
        self._bytes += self._size(value)
        while self._bytes > self._limit and len(self._kept) > 1:
            self._bytes -= self._size(self._kept.popitem(last=False)[1])
        return value
