"""What all figures share: their look, embedded fonts, text that is never mark-up, and one way to be saved."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.paths import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, NARROW = 7.0, 3.4
"""Inches: both columns of a page, one of them. Figures are put in at their size, so that all their letters are alike."""
TALLEST = 8.0
"""Inches, so that a caption has room below."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's, which colour-blind readers tell apart; without yellow, which can't be seen on white."""
DASHES = ("-", "--", ":", "-.")
MARKERS = {"o": "disc", "s": "square", "^": "triangle", "D": "diamond", "v": "triangle on its tip", "P": "plus"}
"""matplotlib's name of a shape, and the word for it."""
_LONGEST = 32
_RC: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType, embedded: publishers refuse Type 3
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar in a method's name is a dollar
}


@dataclass(frozen=True)
class Drawn:
    """A figure and what has to be said under it."""

    name: str
    """Of its file, without suffix."""
    title: str
    """A few words for the text that refers to it."""
    caption: str
    """What it shows and by which rule it was chosen."""
    pdf: bytes
    wide: bool = True
    facts: Any = None
    """Chosen frames and crops as JSON values."""

    def save(self, folder: Path) -> Path:
        """Write ``<name>.pdf``."""
        path = folder / f"{self.name}.pdf"
        with atomic_file(path) as temporary:
            temporary.write_bytes(self.pdf)
        return path


def look() -> AbstractContextManager[None]:
    """The figures' settings, for as long as one is drawn and saved."""
    import matplotlib

    return matplotlib.rc_context(_RC)


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF, the same bytes for the same figure."""
    out = io.BytesIO()
    figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Creator": "talkbench"}, dpi=300)
    return out.getvalue()


def short(name: str, longest: int = _LONGEST) -> str:
    """A name for a figure: one line of so many letters, a character that the font lacks as its code point."""
    known = _characters()
    flat = "".join(c if ord(c) in known else f"[U+{ord(c):04X}]" for c in " ".join(name.split()))
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


@cache
def _characters() -> frozenset[int]:
    """Code points that the figures' font can draw."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(_RC["font.family"])).get_charmap())


def line_styles(labels: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(colour, dash) by label; no two alike among the first 28."""
    return {
        label: (COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)])
        for place, label in enumerate(labels)
    }
