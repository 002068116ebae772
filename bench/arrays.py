"""Reading numpy files from elsewhere: never a pickle, and one kind of error for all that can be wrong with one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

_KINDS = (EOFError, SyntaxError, TokenError, TypeError, KeyError, MemoryError, OverflowError, NotImplementedError)
"""What numpy and zipfile raise for a damaged file, beside OSError and ValueError."""


def array(path: Path, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    """The one array of an ``.npy`` file.

    Raises:
        OSError: not there, or not readable.
        ValueError: no array, cut off, damaged, or a pickle.
    """
    with _named():
        found = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("several arrays, where one is expected")
        return found


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file, by name. Raises as :func:`array`."""
    with _named():
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("one array, where several with names are expected")
        with found as stored:
            return {name: stored[name] for name in stored.files}


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except (*_KINDS, BadZipFile, ZlibError) as error:
        words = str(error).splitlines()
        raise ValueError(f"not a whole numpy file ({words[0] if words else type(error).__name__})") from error
