"""``bench metrics``: what each number means."""

from __future__ import annotations

import json

import click

from bench.metrics import METRICS


@click.group("metrics")
def command() -> None:
    """Metrics and their definitions."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def list_metrics(as_json: bool) -> None:
    """List the metrics with unit, direction and definition."""
    fields = ("name", "label", "unit", "higher_is_better", "definition", "source", "version", "takes_mask")
    if as_json:
        rows = [{field: getattr(metric, field) for field in fields} for metric in METRICS.values()]
        click.echo(json.dumps({"metrics": rows}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "unit", "better", "definition", "source"):
        table.add_column(column, overflow="fold")
    for metric in METRICS.values():
        better = "higher" if metric.higher_is_better else "lower"
        table.add_row(metric.name, metric.unit, better, metric.definition, metric.source)
    Console().print(table)
