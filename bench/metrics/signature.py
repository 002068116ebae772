"""What a number measured, in one line, written next to it wherever it goes.

``PSNR|canvas:own|region:full|agg:frame-mean|quant:u8|src:lossless|v:1`` — the idea is sacreBLEU's. Two numbers may share
a column only if their :meth:`Signature.column` is equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import DataError

NEUTRAL = {"canvas": "own", "region": "full", "agg": "frame-mean", "quant": "u8-round", "src": "lossless"}
"""What every signature states, and the values that :meth:`Signature.short` leaves unsaid."""

_FIELD = re.compile(r"[^|:\s]+")


@dataclass(frozen=True)
class Signature:
    """A metric's label and ordered ``(key, value)`` parts.

    - ``canvas``: what lies behind the synthesised pixels (``own``: whatever the method delivered)
    - ``region``: the pixels that count
    - ``agg``: how frames become one number (``frame-mean``: the mean of the per-frame values)
    - ``quant``: how pixels are stored when compared (``u8``: 8 bits a channel)
    - ``src``: ``lossless``, or the codec that one or both sides went through
    - then the metric's own choices, ``v`` (the definition's version), and ``n`` where a frame can go unscored

    >>> text = "PSNR|canvas:own|region:face|agg:frame-mean|quant:u8|src:lossless|v:1"
    >>> str(Signature.parse(text)) == text, Signature.parse(text).short()
    (True, 'PSNR|region:face|v:1')
    """

    label: str
    parts: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        fields = [self.label, *(text for part in self.parts for text in part)]
        if wrong := [text for text in fields if not _FIELD.fullmatch(text)]:
            raise DataError(f"signature field {wrong[0]!r} is empty or holds '|', ':' or a space")
        keys = [key for key, _ in self.parts]
        if len(set(keys)) != len(keys):
            raise DataError(f"signature {self} names a key twice")

    def __str__(self) -> str:
        return "|".join([self.label, *(f"{key}:{value}" for key, value in self.parts)])

    @classmethod
    def parse(cls, text: str) -> Signature:
        """The signature that ``str`` wrote; DataError if ``text`` is none."""
        label, *fields = text.split("|")
        parts = tuple((key, value) for key, _, value in (field.partition(":") for field in fields))
        return cls(label, parts)

    def get(self, key: str) -> str | None:
        """One part's value, None where the signature doesn't have it."""
        return dict(self.parts).get(key)

    def short(self) -> str:
        """The signature without what is :data:`NEUTRAL`: for table heads."""
        return str(Signature(self.label, tuple((key, value) for key, value in self.parts if NEUTRAL.get(key) != value)))

    def column(self) -> Signature:
        """The signature without ``n``: the coverage is a property of the result, not of the definition."""
        return Signature(self.label, tuple(part for part in self.parts if part[0] != "n"))
