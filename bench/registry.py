"""Finds the installed methods (entry-point group ``bench.methods``)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from bench.contract import Method, Varied
from bench.errors import MethodError, unknown
from bench.variants import parse_variant

GROUP = "bench.methods"


@cache
def _entries() -> dict[str, EntryPoint]:
    """Of two with one name, the first on Python's path."""
    return {entry.name: entry for entry in reversed([*entry_points(group=GROUP)])}


def names() -> list[str]:
    """Names of all installed methods, without importing any."""
    return sorted(_entries())


def get(name: str, variant: str = "") -> Method:
    """Import the method called ``name``, changed as ``variant`` says (:mod:`bench.variants`; empty: as it is).

    Raises:
        UsageError: no such method or variant; the message has the nearest names.
        MethodError: its plugin can't be imported or isn't a method.
    """
    if name not in _entries():
        raise unknown("method", name, names())
    entry = _entries()[name]
    try:
        method = entry.load()()
    except Exception as error:
        raise MethodError(f"plugin {entry.value!r} of method {name!r} can't be imported: {error}") from error
    if not isinstance(method, Method):
        raise MethodError(
            f"plugin {entry.value!r} of method {name!r} lacks info, train or load (see bench/contract.py)"
        )
    if method.info.name != name:
        raise MethodError(f"plugin {entry.value!r} is registered as {name!r} but calls itself {method.info.name!r}")
    return _varied(method, variant) if variant else method


def _varied(method: Method, text: str) -> Method:
    variant = parse_variant(text, method.info)
    if not variant:
        return method
    if not isinstance(method, Varied):
        raise MethodError(f"method {method.info.name!r} declares variants but has no variant() (see bench/contract.py)")
    changed = method.variant(variant)
    if changed.info.name != method.info.name:
        raise MethodError(f"variant {variant} of {method.info.name!r} calls itself {changed.info.name!r}")
    return changed
