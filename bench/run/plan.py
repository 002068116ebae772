"""Which cells a run has: methods × subjects × seeds at one preset."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from bench import registry
from bench.contract import MethodInfo
from bench.errors import MethodError, UsageError, unknown
from bench.records import Backend, CellKey
from bench.variants import parse_variant

_SYNTAX = re.compile(r"(?P<name>[^\[\]@\s]+)(\[(?P<variant>[^\[\]]*)\])?(@(?P<backend>\w+))?")
_SAFE_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True)
class Choice:
    """A method as asked for on the command line: ``name[variant]@backend``."""

    name: str
    variant: str = ""
    backend: Backend = "native"


def parse_choice(text: str) -> Choice:
    """Read ``degstalk``, ``degstalk[-E]``, ``degstalk@official`` or ``tint@docker``.

    Raises:
        UsageError: it is none of these.
    """
    match = _SYNTAX.fullmatch(text.strip())
    if not match:
        raise UsageError(f"method {text!r}: expected NAME, NAME[VARIANT] or NAME@BACKEND, such as NAME@official")
    backend = match["backend"] or "native"
    if backend not in get_args(Backend):
        raise unknown("backend", backend, get_args(Backend))
    return Choice(match["name"], match["variant"] or "", backend)  # type: ignore[arg-type]  # just checked


@dataclass(frozen=True)
class Chosen:
    """A method that a run will use."""

    choice: Choice
    """With its variant's one name."""
    info: MethodInfo | None
    broken: str = ""
    """Why it has no info: its plugin can't be used, so that its cells will fail."""


def chosen_methods(texts: Sequence[str], preset: str) -> list[Chosen]:
    """The methods asked for (``all``: every installed plugin), each able to do ``preset``, as far as it can be asked.

    Raises:
        UsageError: an unknown method, variant or preset, or nothing asked for.
        MethodError: a program's TOML is broken.
    """
    names = registry.names() if "all" in texts else texts
    if not names:
        raise UsageError("--methods is empty: name one or more, such as degstalk, or all")
    chosen = (_method(choice, preset) for choice in map(parse_choice, names))
    return list({one.choice: one for one in chosen}.values())


def cells(choices: Iterable[Choice], subjects: Iterable[str], preset: str, seeds: Iterable[int]) -> list[CellKey]:
    """Every cell, in the order in which they are done: method by method, as the final table has them."""
    seeds, subjects = list(seeds), list(subjects)
    for subject in subjects:
        if not _SAFE_NAME.fullmatch(subject):
            raise UsageError(f'subject name {subject!r} can\'t be a file name: change "name" in its subject.json')
    return [
        CellKey(method=c.name, variant=c.variant, backend=c.backend, subject=subject, preset=preset, seed=seed)
        for c in choices
        for subject in subjects
        for seed in seeds
    ]


def default_name(keys: Sequence[CellKey], *ingredients: str) -> str:
    """Folder name for a run: the same request gives the same folder, so that it is resumed.

    ``ingredients`` are further things that make another run of it (device, protocol, subjects' hashes).
    """
    text = "\n".join((*(key.name for key in keys), *ingredients))
    methods = "+".join(dict.fromkeys(key.label for key in keys))
    return f"{keys[0].preset}-{methods[:48]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _method(choice: Choice, preset: str) -> Chosen:
    try:
        info = registry.info(choice.name, choice.variant, choice.backend)
        if choice.variant:
            choice = replace(choice, variant=str(parse_variant(choice.variant, registry.info(choice.name))))
    except MethodError as error:
        if choice.backend != "native":
            raise
        return Chosen(choice, None, str(error))
    if preset not in info.presets:
        raise unknown(f"preset of {choice.name}", preset, info.presets)
    return Chosen(choice, info)
