"""Variants of a method that is a design with switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from bench.contract import MethodInfo
from bench.variants import Variant


class Switched(Protocol):
    """A method made of a frozen dataclass ``design`` that has ``sees`` and ``canvas_words``."""

    info: MethodInfo
    design: Any
    switches: Mapping[str, Mapping[str, Any]]
    """Fields of the design that each of ``info``'s factors (left out) and readings changes."""


M = TypeVar("M", bound=Switched)


def varied(method: M, variant: Variant) -> M:
    """The same method with its design changed, and an ``info`` that says so."""
    changed = type(method)()
    for key in variant.keys:
        changed.design = replace(changed.design, **method.switches[key])
    changed.info = replace(
        method.info,
        sees=changed.design.sees,
        canvas=changed.design.canvas_words,
        summary=f"{method.info.summary}; variant {variant}",
        published={},
    )
    return changed
