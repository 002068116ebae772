"""``bench data verify``: is a subject whole and plausible?"""

from __future__ import annotations

import click

from bench import catalogue
from bench.cli.output import JSON, console, emit
from bench.cli.progress import counting

_MARK = {"ok": "[green]ok[/green]", "warn": "[yellow]warn[/yellow]", "fail": "[bold red]fail[/bold red]"}


@click.command("verify")
@click.argument("subject")
@JSON
@click.pass_context
def command(ctx: click.Context, subject: str, as_json: bool) -> None:
    """Open every file of SUBJECT (a name or a folder) and check it, one line a check; exit code 1 if a check fails.

    Looked at: counts and sizes, split, sound, masks, poses and their fit to the landmarks, blinks, whether the mouth
    follows the sound; an embedded subject's archive, and a prepared one's card, if there is one of its name.
    """
    from rich.markup import escape
    from rich.table import Table

    from bench import checks

    entry = catalogue.entries().get(subject)
    if entry and entry.origin == "embedded":
        catalogue.check_archive(entry)
    found = catalogue.resolve(subject)
    with counting(f"reading {found.name}") as tell:
        survey = checks.survey(found, tell)
    card = entry.card if entry and entry.origin == "prepared" else None
    findings = checks.run(survey, card)
    digest = catalogue.subject_hash(found)
    failed = sum(finding.state == "fail" for finding in findings)
    if as_json:
        rows = [{"check": f.check, "state": f.state, "text": f.text} for f in findings]
        emit({"subject": found.name, "frames": len(found.ids), "sha256": digest, "failed": failed, "checks": rows})
    else:
        view = Table(box=None, show_header=False, pad_edge=False)
        for finding in findings:
            view.add_row(finding.check, _MARK[finding.state], escape(finding.text))
        console().print(view)
        click.echo(f"{found.name}: all {len(found.ids)} frames are whole; sha256 {digest}")
    if failed:
        click.echo(f"error: {failed} of {len(findings)} checks failed", err=True)
        ctx.exit(1)
