"""Text in LaTeX that can neither leave its place nor run a command, and the templates that it goes into."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.paths import content


class Tex(str):
    """Text that is LaTeX already; everything else is escaped where it is put into a template."""

    __slots__ = ()


_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': "{''}", "`": r"\`{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "≈": r"$\approx$", "≤": r"$\leq$", "≥": r"$\geq$",
    "∞": r"$\infty$", "×": r"$\times$", "·": r"$\cdot$", "⊕": r"$\oplus$", "µ": r"$\mu$", "√": r"$\surd$",
    "–": "--", "—": "---", "…": r"\dots{}", "→": r"$\to$", "²": r"\textsuperscript{2}", "°": r"$^\circ$",
    "‘": "`", "’": "'", "“": "``", "”": "''", "\u00a0": "~",
}  # fmt: skip
_ACCENTS = {"\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0308": r'\"', "\u0327": r"\c",
            "\u030c": r"\v", "\u030a": r"\r"}  # fmt: skip


_LIGATURES = ("--", "''")
"""Two characters that would become another one."""


def escape(text: object) -> Tex:
    r"""``text`` as LaTeX that prints it, on one line; a character that the kit's fonts lack as its code point.

    >>> escape("50 % of $x_1$ \\input{/etc/passwd}")
    '50 \\% of \\$x\\_1\\$ \\textbackslash{}input\\{/etc/passwd\\}'
    >>> escape("Jörg 字")
    'J\\"{o}rg [U+5B57]'
    """
    if isinstance(text, Tex):
        return text
    return _escaped(" ".join(str(text).split()))


def _escaped(flat: str) -> Tex:
    return Tex("".join(_character(c) + "{}" * (flat[place : place + 2] in _LIGATURES) for place, c in enumerate(flat)))


_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta", "κ": "kappa",
    "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi",
    "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma",
    "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip


def _character(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    if c in _GREEK:
        return rf"$\{_GREEK[c]}$"
    if " " <= c <= "~":
        return c
    parts = unicodedata.normalize("NFD", c)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return f"{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return "" if unicodedata.category(c) == "Cc" else f"[U+{ord(c):04X}]"


def signature(text: str) -> Tex:
    """A signature in typewriter letters that may be broken after each part."""
    bar = r"\char124\allowbreak{}"  # in the typewriter font itself
    return Tex(r"\texttt{" + escape(text).replace(r"\textbar{}", bar) + "}")


def plain(name: str) -> Tex:
    """A name of :func:`bench.names.file_names`, as files and labels take it: as it is."""
    assert re.fullmatch(r"[\w.-]+", name, re.ASCII), name
    return Tex(name)


def numbers(text: str) -> Tex:
    r"""``text`` with each number in siunitx's hands.

    >>> numbers("[-5.10, +4.2]")
    '[\\num{-5.10}, \\num{+4.2}]'
    """
    parts = re.split(r"([-+]?\d+(?:\.\d+)?)", " ".join(text.split()))
    return Tex("".join(rf"\num{{{part}}}" if place % 2 else _escaped(part) for place, part in enumerate(parts)))


def render(template: str, **values: Any) -> str:
    """``reports/paper/<template>`` filled in: every value that isn't :class:`Tex` is escaped."""
    environment = Environment(
        loader=FileSystemLoader(content("reports", "paper")),
        undefined=StrictUndefined,
        autoescape=False,  # that of jinja is HTML's
        finalize=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters |= {"numbers": numbers, "plain": plain, "signature": signature}
    return environment.get_template(template).render(**values)
