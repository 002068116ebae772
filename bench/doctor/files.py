"""Model files, by hash."""

from __future__ import annotations

from bench import weights as known
from bench.doctor.finding import Finding


def weights() -> list[Finding]:
    """Every model file that talkbench doesn't ship, licensed ones too."""
    found = []
    for name, entry in known.REGISTRY.items():
        state = entry.state()
        what, detail = f"weights {name}", f"{entry.needed_by} ({state})"
        if state in ("present", "unchecked"):
            found.append(Finding(what, "ok", detail))
        else:
            found.append(Finding(what, "absent", f"{detail}; licence: {entry.licence}", entry.remedy()))
    return found
