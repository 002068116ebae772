"""What a program prints: made safe to show, kept within bounds, and searched for how far it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TextIO

_LINE, _ALL = 2000, 32 * 2**20
"""Characters of a line, and of a step's whole output, that are kept."""
_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|.)")
"""Escape sequences of terminals."""
_END = re.compile(rb"\r\n|\n|\r(?!$)")
"""Ends of lines; a carriage return that comes last may be half of one."""


class Log:
    """Copies output line by line. Lines that a carriage return overwrites, as progress bars write them, are searched, not kept."""

    def __init__(self, out: TextIO, steps: str = "") -> None:
        """``out``: where lines go; ``steps``: pattern with groups ``done`` and perhaps ``total``, empty for none."""
        self._out, self._steps = out, re.compile(steps) if steps else None
        self._kept = 0
        self.last = ""
        """The last line with something on it."""
        self.done, self.total = 0, 0
        """How far it is, as it last said; 0: not said."""

    def copy(self, chunks: Iterable[bytes]) -> None:
        """Copy until the output ends."""
        rest = b""
        for chunk in chunks:
            rest += chunk
            begin = 0
            for end in _END.finditer(rest):
                self._line(rest[begin : end.start()], kept=end[0] != b"\r")
                begin = end.end()
            rest = rest[begin:]
            if len(rest) > 4 * _LINE:
                self._line(rest, kept=True)
                rest = b""
        if rest:
            self._line(rest, kept=True)

    def _line(self, raw: bytes, kept: bool) -> None:
        text = clean(raw)
        if not text:
            return
        self.last = text
        if self._steps and (match := self._steps.search(text)):
            found = match.groupdict()
            self.done, self.total = _number(found["done"]), _number(found.get("total"))
        if kept and self._kept <= _ALL:
            self._kept += len(text) + 1
            print(
                text if self._kept <= _ALL else f"… more than {_ALL >> 20} MiB of output: the rest is left out",
                file=self._out,
            )
            self._out.flush()


def clean(raw: bytes) -> str:
    """One line as text of printable characters, cut to a bounded length.

    >>> clean(b"\\x1b[31mloss\\x00\\xff 0.1  ")
    'loss� 0.1'
    """
    plain = _SEQUENCE.sub("", raw.decode("utf-8", "replace")).expandtabs(4)
    text = "".join(filter(str.isprintable, plain)).rstrip()
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0
