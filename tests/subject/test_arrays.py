"""Reading numpy files: whatever is wrong with one is a ValueError."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import arrays


def test_what_was_written_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "a.npz", x=np.ones(2), y=np.zeros(1))
    assert arrays.array(tmp_path / "a.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert isinstance(arrays.array(tmp_path / "a.npy", "r"), np.memmap)
    assert {name: len(each) for name, each in arrays.arrays(tmp_path / "a.npz").items()} == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a whole numpy file"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '|b1'[ 'fortran_order': False, 'shape': (64, 64), }" + b" " * 60, r"."),
        (b"PK\x03\x04 no zip", "not a whole numpy file"),
        (b"\x80\x04N.", "allow_pickle"),
    ],
)
def test_what_is_none_is_a_value_error(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        arrays.array(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=words):
        arrays.arrays(tmp_path / "a.npy")


def test_one_is_not_several_and_several_are_not_one(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(2))
    np.savez(tmp_path / "a.npz", x=np.ones(2))
    with pytest.raises(ValueError, match="several arrays"):
        arrays.array(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="one array"):
        arrays.arrays(tmp_path / "a.npy")


def test_a_missing_file_stays_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        arrays.array(tmp_path / "a.npy")
