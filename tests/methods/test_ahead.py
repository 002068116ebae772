"""The cache that reads ahead: who reads, when, how often, and what is let go."""

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from methods.ahead import Ahead

LONG = 30.0  # seconds: only a broken cache waits that long


class Reader:
    """Reads a key as twice the key; counts, remembers the threads, and waits or fails on demand."""

    def __init__(self):
        self.calls, self.threads, self.broken = [], [], set()
        self.begun, self.gates = defaultdict(threading.Event), {}

    def __call__(self, key):
        self.calls.append(key)
        self.threads.append(threading.get_ident())
        self.begun[key].set()
        if key in self.gates:
            assert self.gates[key].wait(LONG)
        if key in self.broken:
            raise OSError(f"no {key}")
        return 2 * key

    def shut(self, key):
        """Let ``key`` not be read before the event that this returns is set."""
        self.gates[key] = threading.Event()
        return self.gates[key]


@pytest.fixture
def reader():
    return Reader()


def cache(reader, limit=1000):
    """A value takes as many bytes as its key says."""
    return Ahead(reader, lambda value: value // 2, limit)


def get(ahead, *keys):
    assert [ahead.get(key) for key in keys] == [2 * key for key in keys]


def test_reads_once_in_the_callers_thread(reader):
    ahead = cache(reader)
    get(ahead, 3, 4, 3, 4)
    assert reader.calls == [3, 4]
    assert set(reader.threads) == {threading.get_ident()}


def test_begin_reads_in_another_thread_and_get_waits(reader):
    ahead, gate = cache(reader), reader.shut(3)
    ahead.begin(3)  # returns although the value can't be read yet
    assert reader.begun[3].wait(LONG)
    assert threading.get_ident() not in reader.threads
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ahead.get, 3)
        assert not waiting.done()  # nor can it be while the gate is shut
        gate.set()
        assert waiting.result(LONG) == 6
    get(ahead, 3)
    assert reader.calls == [3]


def test_other_values_are_read_meanwhile(reader):
    ahead, gate = cache(reader), reader.shut(9)
    ahead.begin(9)
    assert reader.begun[9].wait(LONG)
    get(ahead, 2)
    gate.set()
    get(ahead, 9)
    assert reader.calls == [9, 2]


def test_begin_on_what_is_there_or_on_its_way_does_nothing(reader):
    ahead, gate = cache(reader), reader.shut(4)
    get(ahead, 3)
    ahead.begin(3)
    ahead.begin(4)
    assert reader.begun[4].wait(LONG)
    ahead.begin(4)
    gate.set()
    get(ahead, 4, 3)
    ahead.begin(5)
    get(ahead, 5)  # the reader's thread has done all that was begun before
    assert reader.calls == [3, 4, 5]


def test_an_error_in_the_background_shows_at_get_and_the_next_tries_again(reader):
    ahead = cache(reader)
    reader.broken.add(3)
    ahead.begin(3)
    for _ in range(2):
        with pytest.raises(OSError, match="no 3"):
            ahead.get(3)
    reader.broken.clear()
    get(ahead, 3, 3)
    assert reader.calls == [3, 3, 3]
    background, *own = reader.threads
    assert set(own) == {threading.get_ident()} != {background}


def test_after_an_error_begin_tries_again(reader):
    ahead = cache(reader)
    reader.broken.add(3)
    ahead.begin(3)
    with pytest.raises(OSError, match="no 3"):
        ahead.get(3)
    reader.broken.clear()
    ahead.begin(3)
    get(ahead, 3)
    assert reader.calls == [3, 3]
    assert threading.get_ident() not in reader.threads


@pytest.mark.parametrize("begin", [False, True])
def test_the_least_recently_used_go_first(begin, reader):
    ahead = cache(reader, limit=100)
    get(ahead, 40, 30, 20, 40)
    if begin:
        ahead.begin(25)
    get(ahead, 25)  # 115 bytes: 30 goes, which was used longest ago
    get(ahead, 40, 20, 25)
    assert reader.calls == [40, 30, 20, 25]
    get(ahead, 60)  # 145 bytes: 40 and 20 go
    get(ahead, 25, 60)
    assert reader.calls[4:] == [60]
    get(ahead, 15)  # exactly 100 bytes: nothing goes
    get(ahead, 25, 60, 15)
    assert reader.calls[5:] == [15]
    get(ahead, 20, 40, 30)
    assert reader.calls[6:] == [20, 40, 30]


def test_as_many_go_as_must(reader):
    ahead = cache(reader, limit=100)
    get(ahead, 40, 30, 20, 95)
    get(ahead, 20, 30, 40)
    assert reader.calls == [40, 30, 20, 95, 20, 30, 40]


def test_begin_is_no_use(reader):
    ahead = cache(reader, limit=100)
    get(ahead, 50, 40)
    ahead.begin(50)
    get(ahead, 30)  # 50 goes
    get(ahead, 40, 30)
    assert reader.calls == [50, 40, 30]
    get(ahead, 50)
    assert reader.calls[3:] == [50]


def test_the_newest_always_stays(reader):
    ahead = cache(reader, limit=100)
    get(ahead, 50, 500, 500)
    assert reader.calls == [50, 500]
    get(ahead, 40, 40)  # 500 goes
    assert reader.calls[2:] == [40]
    get(ahead, 60, 40, 500)
    assert reader.calls[3:] == [60, 500]


def test_the_count_of_bytes_stays_right(reader):
    ahead = cache(reader, limit=100)
    for turn in range(20):
        for key in (33, 34, 35, 101, 10):
            if turn % 2:
                ahead.begin(key)
            get(ahead, key)
    reader.calls.clear()
    get(ahead, 10, 41, 49, 10, 41, 49)  # together 100 bytes
    assert reader.calls == [41, 49]
    get(ahead, 1, 41, 49, 10)  # 10 had to go
    assert reader.calls == [41, 49, 1, 10]
