"""Finds the installed methods: plugins (entry-point group ``bench.methods``) and programs (:mod:`bench.containers`)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from bench import isolated
from bench.code_version import code_version
from bench.contract import Method, MethodInfo, Varied
from bench.errors import MethodError, UsageError, unknown
from bench.hashes import hash_file
from bench.records import Backend
from bench.variants import parse_variant

if TYPE_CHECKING:
    from bench.containers.method import Program

GROUP = "bench.methods"


@cache
def _entries() -> dict[str, EntryPoint]:
    """Of two with one name, the first on Python's path."""
    return {entry.name: entry for entry in reversed([*entry_points(group=GROUP)])}


def names() -> list[str]:
    """Names of all installed plugins, without importing any."""
    return sorted(_entries())


def programs() -> tuple[list[Program], list[MethodError]]:
    """The methods that are programs, in the order in which they are found, and what is wrong with the others.

    Raises:
        UsageError: ``$BENCH_METHODS`` names what isn't there.
    """
    from bench.containers.find import found
    from bench.containers.method import Program

    specs, broken = found()
    return [Program(one, one.spec.backend(one.spec.name in _entries())) for one in specs], broken


def program(name: str, backend: Backend) -> Program:
    """The program called ``name@backend``.

    Raises:
        UsageError: there is none, or two; the message has the nearest names, or the files.
        MethodError: there is none, but a TOML that can't be read, which may be it.
    """
    every, broken = programs()
    label = f"{name}@{backend}"
    same = [one for one in every if one.label == label]
    if len(same) > 1:
        raise UsageError(f"{same[0].found.path} and {same[1].found.path} are both {label}: rename one")
    if same:
        return same[0]
    error = unknown("method", label, [one.label for one in every])
    if broken:
        raise MethodError(f"{error}; not read: {broken[0]}")
    raise error


def code(name: str, backend: Backend) -> str:
    """Version of a method's code, without importing it: of its source, or of a program's TOML. Empty: it can't be found.

    Raises:
        UsageError: no such program.
    """
    if backend != "native":
        return hash_file(program(name, backend).found.path)[:16]
    return code_version(_entries()[name].module) if name in _entries() else ""


def info(name: str, variant: str = "", backend: Backend = "native") -> MethodInfo:
    """What a method says of itself, as the variant that is named. A stranger's plugin is asked in a process of its own.

    Raises:
        UsageError, MethodError: as :func:`get`.
    """
    if backend != "native" or _ours(name):
        return get(name, variant, backend).info
    _known(name)
    plain = isolated.info(name)
    chosen = str(parse_variant(variant, plain)) if variant else ""
    return isolated.info(name, chosen) if chosen else plain


def _ours(name: str) -> bool:
    """Whether the method comes with talkbench."""
    dist = _entries()[name].dist if name in _entries() else None
    return dist is not None and dist.name == "talkbench"


def _known(name: str) -> None:
    if name not in _entries():
        raise unknown("method", name, [*names(), *(one.label for one in programs()[0])])


def get(name: str, variant: str = "", backend: Backend = "native") -> Method:
    """The method called ``name``, changed as ``variant`` says (:mod:`bench.variants`; empty: as it is). Plugins are imported.

    Raises:
        UsageError: no such method or variant; the message has the nearest names.
        MethodError: its plugin can't be imported or isn't a method, or its TOML is broken.
    """
    if backend != "native":
        if variant:
            raise UsageError(f"{name}[{variant}]@{backend}: a program has no variants; use {name}@{backend}")
        return program(name, backend)
    _known(name)
    entry = _entries()[name]
    try:
        method = entry.load()()
    except Exception as error:
        raise MethodError(f"plugin {entry.value!r} of method {name!r} can't be imported: {error}") from error
    if not isinstance(method, Method):
        raise MethodError(
            f"plugin {entry.value!r} of method {name!r} lacks info, train or load (see bench/contract.py)"
        )
    if not isinstance(method.info, MethodInfo):
        raise MethodError(
            f"plugin {entry.value!r} of method {name!r} has no MethodInfo for its info, but {type(method.info).__name__}"
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
