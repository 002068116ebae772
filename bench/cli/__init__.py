"""The command line ``bench``: each verb is a module that is loaded only when it is used."""

from __future__ import annotations

import click

from bench import __version__
from bench.cli.group import Main, Verb

_VERBS = {
    "run": Verb("bench.cli.run", "Train, render and score methods on subjects.", "Run and score"),
    "ablate": Verb("bench.cli.ablate", "Run a method without each of its factors.", "Run and score"),
    "score": Verb("bench.cli.score", "Score rendered frames against their ground truth.", "Run and score"),
    "status": Verb("bench.cli.status", "Show how far a run is.", "Run and score"),
    "cancel": Verb("bench.cli.cancel", "Stop a run that is at work.", "Run and score"),
    "audit": Verb("bench.cli.audit", "Measure what methods copied from the ground truth.", "Run and score"),
    "drive": Verb("bench.cli.drive", "Let a trained method speak another sound.", "Run and score"),
    "inspect": Verb("bench.cli.inspect", "Look into a checkpoint: PLY, maps, sizes, embedding.", "Run and score"),
    "verify": Verb("bench.cli.verify", "Prove a run from its files: hashes and scores.", "Run and score"),
    "explain": Verb("bench.cli.explain", "Show where a cell's numbers come from.", "Run and score"),
    "export": Verb("bench.cli.run_export", "Pack a run into one file, to be checked elsewhere.", "Run and score"),
    "import": Verb("bench.cli.run_import", "Unpack a packed run and prove its files.", "Run and score"),
    "compare": Verb("bench.cli.compare", "Say how one run differs from another.", "Run and score"),
    "report": Verb("bench.cli.report", "Write a run's HTML report.", "Run and score"),
    "leaderboard": Verb("bench.cli.leaderboard", "Write a static site over many runs.", "Run and score"),
    "paper": Verb("bench.cli.paper", "Write tables and figures for a paper.", "Run and score"),
    "baseline": Verb("bench.cli.baseline", "Keep a run as what later ones are checked against.", "Run and score"),
    "check": Verb("bench.cli.check", "Has a method got worse? Exit code 3 if so.", "Run and score"),
    "list": Verb("bench.cli.list", "Methods, subjects and presets at a glance.", "What there is"),
    "methods": Verb("bench.cli.methods", "Methods: list them, show one.", "What there is"),
    "data": Verb("bench.cli.data", "Subjects: list, show, check, make.", "What there is"),
    "protocols": Verb("bench.cli.protocols", "Protocols: what is measured, and how.", "What there is"),
    "metrics": Verb("bench.cli.metrics", "Metrics and their definitions.", "What there is"),
    "weights": Verb("bench.cli.weights", "Model files: list, fetch, check.", "This machine"),
    "gc": Verb("bench.cli.gc", "Remove what runs leave behind and nobody needs.", "This machine"),
    "doctor": Verb("bench.cli.doctor", "Check this machine, with a remedy for whatever is missing.", "This machine"),
}


@click.command("bench", cls=Main, verbs=_VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bench", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show tracebacks (works after a verb, too).")
def main(debug: bool) -> None:
    """The benchmark harness for talking-face synthesis.

    \b
    First steps:
      bench list
      bench run --methods degstalk,talkinggaussian --subjects ada --preset quick
    """
