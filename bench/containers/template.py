"""Placeholders in the commands and output names of a method's TOML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping

_COMMON = frozenset({"data", "seed", "preset", "device", "out"})
TRAIN = _COMMON
"""What a stage's command may name."""
RENDER = _COMMON | {"checkpoint", "ids", "first_id", "count"}
"""What the rendering command may name: also a file with the test frames' ids one a line, the first of them, how many."""
NAMES = TRAIN | RENDER

_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z_]+)\}")
"""``{name}``; not a shell's ``${name}``."""
_NUMBER = re.compile(r"\{(id|k|n)(?::0?\d*d)?\}")
"""``{id}``, ``{k:04d}``, … in an output's name."""

_PICTURES = (".png", ".bmp", ".jpg", ".jpeg")


def check(command: str, known: Collection[str], where: str) -> None:
    """Raise ValueError unless ``command`` can be split and names only ``known`` placeholders."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"run of {where} can't be split into words: {error}") from error
    if not words:
        raise ValueError(f"run of {where} is empty")
    for name in _PLACEHOLDER.findall(command):
        if name not in known:
            raise ValueError(f"run of {where} names {{{name}}} (known: {', '.join(sorted(known))})")


def fill(command: str, values: Mapping[str, object]) -> list[str]:
    """The command's words, placeholders filled in after splitting: a value is never split, nor read by a shell.

    >>> fill("python main.py {data} --out={out}", {"data": "/my data", "out": "/o"})
    ['python', 'main.py', '/my data', '--out=/o']
    """
    return [_PLACEHOLDER.sub(lambda match: str(values[match[1]]), word) for word in shlex.split(command)]


def check_output(output: str) -> None:
    """Raise ValueError unless ``output`` is under {out} and has at most one number."""
    rest = output.removeprefix("{out}/")
    if rest == output or ".." in rest.split("/"):
        raise ValueError(f"render.output {output!r} is to begin with {{out}}/")
    if _NUMBER.search(rest) and not rest.endswith(_PICTURES):
        raise ValueError(f"render.output {output!r} is to end with one of {', '.join(_PICTURES)}")
    if len(_NUMBER.findall(rest)) > 1 or set("{}") & set(_NUMBER.sub("", rest)):
        raise ValueError(
            f"render.output {output!r} may hold one of {{id}}, {{k}}, {{n}} (such as {{id:06d}}) and no others"
        )


def numbering(output: str) -> str | None:
    """``id``, ``k`` or ``n``: what numbers the pictures; None for a video."""
    match = _NUMBER.search(output)
    return match[1] if match else None


def output_pattern(output: str) -> re.Pattern[str]:
    """What the paths of an output's files, relative to {out}, match; group ``number`` is the frame's.

    >>> output_pattern("{out}/validation/*_{n:04d}_rgb.png").fullmatch("validation/ngp_ep0012_0003_rgb.png")["number"]
    '0003'
    """
    rest = output.removeprefix("{out}/")
    parts = re.split(r"(\{(?:id|k|n)(?::0?\d*d)?\}|\*|\?|\[[^\]]+\])", rest)
    return re.compile("".join(map(_part, parts)))


def _part(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return r"(?P<number>\d+)"
    if text in ("*", "?"):
        return f"[^/]{text}" if text == "*" else "[^/]"
    if len(text) > 2 and text[0] == "[" and text[-1] == "]":
        return f"[^{text[2:-1]}]" if text[1] == "!" else f"[{text[1:-1]}]"
    return re.escape(text)
