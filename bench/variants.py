"""Variants of a method: ``degstalk[-E]`` without one of its factors, ``degstalk[paper]`` in another reading.

A method declares its factors (what an ablation switches off) and readings (other ways to understand its paper) once, in
:class:`bench.contract.MethodInfo`; every command that takes a method's name takes ``name[reading-FACTOR-FACTOR]``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import UsageError, unknown

if TYPE_CHECKING:
    from bench.contract import MethodInfo

KEY = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_SYNTAX = re.compile(rf"(?P<reading>{KEY.pattern})?(?P<off>(-{KEY.pattern})*)")


@dataclass(frozen=True)
class Variant:
    """What is changed about a method; nothing by default."""

    reading: str = ""
    """Key of :attr:`bench.contract.MethodInfo.readings`."""
    off: tuple[str, ...] = ()
    """Keys of :attr:`bench.contract.MethodInfo.factors` that are switched off, in the order in which they are declared."""

    def __str__(self) -> str:
        return self.reading + "".join(f"-{key}" for key in self.off)

    def __bool__(self) -> bool:
        return bool(self.reading or self.off)

    @property
    def keys(self) -> tuple[str, ...]:
        """The reading, if there is one, and the factors."""
        return (self.reading, *self.off) if self.reading else self.off


def parse_variant(text: str, info: MethodInfo) -> Variant:
    """The variant of a method that ``text`` names: what stands in brackets behind its name.

    Factors may come in any order; each variant has one name (:class:`str` of the result).

    Raises:
        UsageError: ``text`` is ill-formed, or the method has no such factor or reading; the message has the nearest.
    """
    match = _SYNTAX.fullmatch(text)
    if not match:
        raise UsageError(
            f"variant {text!r} of {info.name}: expected a reading, factors to leave out, or both: {_example(info)}"
        )
    if text and not (info.factors or info.readings):
        raise UsageError(f"method {info.name!r} has no variant {text!r}, nor any other; use {info.name}")
    if (reading := match["reading"] or "") and reading not in info.readings:
        hint = f" (to leave a factor out, write [-{reading}])" if reading in info.factors else ""
        raise UsageError(f"{unknown(f'reading of {info.name}', reading, info.readings)}{hint}")
    off = match["off"].split("-")[1:]
    for key in off:
        if key not in info.factors:
            raise unknown(f"factor of {info.name}", key, info.factors)
    return Variant(reading, tuple(key for key in info.factors if key in off))


def check_keys(kind: str, keys: Mapping[str, str]) -> None:
    """Refuse a factor or reading whose key could not be written on the command line.

    Raises:
        UsageError: it is no letters and digits.
    """
    for key in keys:
        if not KEY.fullmatch(key):
            raise UsageError(f"{kind} {key!r}: expected letters and digits, beginning with a letter")


def _example(info: MethodInfo) -> str:
    known = [*info.readings, *(f"-{key}" for key in info.factors)]
    return ", ".join(f"{info.name}[{text}]" for text in known) or info.name
