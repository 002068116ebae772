"""A kit's ``main.tex`` as a PDF, with whatever TeX is here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.errors import AbsentError, BenchError

REMEDY = (
    "install one: `apt-get install --no-install-recommends texlive-latex-recommended texlive-science` (100 MB), or tectonic; "
    "the folder is complete without it"
)
_LIMIT = 300
"""Seconds that TeX may take."""


def engine() -> list[list[str]]:
    """The commands that make the PDF; in none of them may a document run programs.

    Raises:
        AbsentError: there is neither tectonic nor pdflatex with bibtex.
    """
    if tectonic := shutil.which("tectonic"):
        return [[tectonic, "--untrusted", "main.tex"]]
    latex, bibtex = shutil.which("pdflatex"), shutil.which("bibtex")
    if not latex or not bibtex:
        raise AbsentError(f"no TeX is here; {REMEDY}")
    once = [latex, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    return [once, [bibtex, "main"], once, once]


def compile_pdf(folder: Path) -> Path:
    """Make ``main.pdf`` of a kit.

    Raises:
        AbsentError: no TeX is here, or it lacks a package.
        BenchError: it fails; the message has its first error.
    """
    # Files are read and written in the kit only, however a name in it is spelled.
    secure = {"openin_any": "p", "openout_any": "p", "TEXMFOUTPUT": str(folder.resolve())}
    for command in engine():
        try:
            done = subprocess.run(
                command, cwd=folder, env=os.environ | secure, capture_output=True, timeout=_LIMIT, check=False
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{command[0]} took longer than {_LIMIT} s on {folder}/main.tex") from error
        if done.returncode:
            _fail(folder, command[0], done.stdout.decode("utf-8", "replace"))
    return folder / "main.pdf"


def _fail(folder: Path, program: str, log: str) -> None:
    lines = log.splitlines()
    first = next((place for place, line in enumerate(lines) if line.startswith("!")), len(lines) - 1)
    reason = " ".join(lines[first : first + 3])[:300]
    if ".sty' not found" in log:
        raise AbsentError(f"TeX lacks a package ({reason}); {REMEDY}")
    raise BenchError(f"{program} fails on {folder}/main.tex: {reason} (log: {folder}/main.log)")
