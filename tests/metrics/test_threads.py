"""Work spread over threads: order, errors, how many, and what torch does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bench import threads
from bench.errors import DataError, UsageError


def test_each_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_THREADS", "3")
    used = set()

    def work(number: int) -> list[int]:
        used.add(threading.current_thread().name)
        return threads.each(lambda other: 10 * number + other, range(3))  # within itself a plain loop

    assert threads.each(work, range(20)) == [[10 * n, 10 * n + 1, 10 * n + 2] for n in range(20)]
    assert threading.current_thread().name not in used


def test_each_raises_what_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_THREADS", "2")
    with pytest.raises(ZeroDivisionError):
        threads.each(lambda number: 1 / number, [1, 0, 2])


def test_torch_uses_one_thread_and_then_as_many_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("BENCH_THREADS", "2")
    try:
        torch.set_num_threads(2)
        assert threads.each(lambda _: torch.get_num_threads(), range(4)) == [1] * 4
        assert torch.get_num_threads() == 2
        with threads.one_torch_thread():
            assert threads.each(lambda _: torch.get_num_threads(), range(4)) == [1] * 4
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_ahead_passes_on_items_and_errors() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise DataError("broken")

    made = threads.ahead(items())
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(DataError, match="broken"):
        next(made)
    assert list(threads.ahead(iter([]))) == []


@pytest.mark.parametrize("wish", ["0", "two", "-1"])
def test_nonsense_is_refused(wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_THREADS", wish)
    with pytest.raises(UsageError, match=f"BENCH_THREADS={wish}"):
        threads.allowed()
