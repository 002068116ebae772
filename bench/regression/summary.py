"""The comparison as Markdown for a pull request, for the terminal, and as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench import metrics
from bench.regression.verdict import Judged, Lost, Outcome
from bench.report.markdown import escape, table

if TYPE_CHECKING:
    from rich.console import RenderableType

_SIGNS = {"regressed": "❌ regressed", "unclear": "⚠️ unclear", "ok": "ok", "improved": "✅ improved"}
_HEAD = ("method", "subject", "measure", "before", "after", "Δ", "95 % interval of Δ", "tolerance", "")
_ALIGN = "lllrrrrrl"


def to_values(outcome: Outcome) -> dict[str, Any]:
    """The whole outcome as strict JSON values."""
    found = asdict(outcome)
    return {"verdict": outcome.verdict, **found}


def to_markdown(outcome: Outcome, pictures: Mapping[str, str] | None = None, note: str = "") -> str:
    """A heading with the verdict, what was judged how, problems, regressions, and the rest folded away.

    :param pictures: address of the picture of each of :attr:`Outcome.lost`, by name of its cell
    :param note: one more line below it all
    """
    parts = [f"## {headline(outcome)}\n", f"{escape(rule(outcome))}\n"]
    if outcome.problems:
        parts.append("".join(f"- {escape(problem)}\n" for problem in outcome.problems))
    bad = [row for row in outcome.rows if row.verdict in ("regressed", "unclear")]
    rest = [row for row in outcome.rows if row not in bad]
    if bad:
        parts.append(_table(bad))
    if rest:
        parts.append(
            f"<details><summary>{len(rest)} rows within tolerance or better</summary>\n\n{_table(rest)}\n</details>\n"
        )
    if pictures:
        shown = [lost for lost in outcome.lost if lost.cell in pictures]
        parts.append(_pictures(shown, pictures))
    parts.append("".join(f"- {escape(text)}\n" for text in (*outcome.notes, *([note] if note else []))))
    return "\n".join(part for part in parts if part)


def headline(outcome: Outcome) -> str:
    """``Regressed: 2 of 12 rows``"""
    rows = f"{len(outcome.rows)} rows"
    if outcome.problems:
        return f"Not comparable with the baseline: {len(outcome.problems)} problems, {rows} compared"
    found = {verdict: outcome.count(verdict) for verdict in ("regressed", "unclear", "improved")}
    told = ", ".join(f"{count} {verdict}" for verdict, count in found.items() if count)
    return f"{'Regressed' if found['regressed'] else 'No regression'}: {told or 'all as before or within tolerance'} ({rows})"


def rule(outcome: Outcome) -> str:
    """How a row is judged, with the tolerances."""
    stated = ", ".join(f"{metrics.title(key)} {value:g}" for key, value in outcome.tolerances.items())
    return (
        f"A row has regressed if it got worse by more than its tolerance ({stated}) and the paired {outcome.level:.0%} "
        f"interval of the difference (block bootstrap over the frames of both, seed {outcome.seed}) leaves 0 out; "
        "unclear: beyond the tolerance, but the interval holds 0."
    )


def to_rich(outcome: Outcome) -> list[RenderableType]:
    """The same for the terminal."""
    from rich.table import Table
    from rich.text import Text

    styles = {"regressed": "bold red", "unclear": "yellow", "ok": "", "improved": "green"}
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title, side in zip(_HEAD, _ALIGN, strict=True):
        shown.add_column(title, justify="right" if side == "r" else "left")
    for row in outcome.rows:
        shown.add_row(*map(Text, _cells(row)), Text(row.verdict, styles[row.verdict]))
    problems = [Text(problem, "red") for problem in outcome.problems]
    notes = [Text(text, "dim") for text in (rule(outcome), *outcome.notes)]
    style = "" if outcome.verdict == "ok" else "bold red"
    return [*([shown] if outcome.rows else []), *problems, *notes, Text(headline(outcome), style)]


def _table(rows: Iterable[Judged]) -> str:
    lines = [[*map(escape, _cells(row)), _SIGNS[row.verdict]] for row in rows]
    return table(_HEAD, lines, _ALIGN)


def _cells(row: Judged) -> tuple[str, ...]:
    unit = f" ({row.unit})" if row.unit not in ("", "1") else ""
    digits = 2 if row.unit == "dB" else 4
    title = f"{row.title}{'↑' if row.higher_is_better else '↓'}{unit}"
    interval = row.reason
    if row.interval:
        low, high = row.interval
        interval = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
    numbers = (
        "–" if row.before is None else f"{row.before:.{digits}f}",
        "–" if row.after is None else f"{row.after:.{digits}f}",
        "–" if row.delta is None else f"{row.delta:+.{digits}f}",
    )
    return (row.method, row.subject, title, *numbers, interval, f"{row.tolerance:g}")


def _pictures(lost: Sequence[Lost], pictures: Mapping[str, str]) -> str:
    """The frames that lost most: ground truth, now, and where the two differ."""
    lines = [
        [
            escape(one.method),
            escape(one.subject),
            f"{one.frame_id}",
            escape(f"{metrics.title(one.measure)} {one.before:.3f} → {one.after:.3f}"),
            f"![{escape(one.cell)}]({pictures[one.cell]})",
        ]
        for one in lost
    ]
    about = "Frames that lost most against the baseline (ground truth, this run, difference ×4):\n"
    head = ("method", "subject", "frame", "measure", "picture")
    return f"{about}\n{table(head, lines, 'llrll')}" if lines else ""
